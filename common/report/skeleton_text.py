"""The words of the skeleton (common/report/skeleton.py) in both languages, and the sheet on which it is written."""
from common.base import paths
from common.report import run_folder
from common.report.markdown import path_link, prose, relative, table

LANGUAGES = ("en", "zh")

# key: (English, Chinese); {names} are filled in, already escaped
TEXT = {
    "todo": ("(to be written)", "（待填写）"),
    "none": ("none", "无"),
    "colon": (": ", "："), "comma": (", ", "，"), "and": (", ", "、"), "brackets": (" ({text})", "（{text}）"),
    "unit_levels": ("levels", "灰度级"), "unit_pixels": ("pixels", "像素"), "unit_pairs": ("pairs", "对"),

    # head
    "title": ("Report: {title}", "实验报告：{title}"),
    "head": ("Report", "报告信息"),
    "item": ("item", "项目"), "content": ("content", "内容"),
    "course": ("Course", "课程"), "course_name": ("Computer vision", "计算机视觉"),
    "case": ("Case", "案例"), "paper": ("Paper", "论文"), "run": ("Run", "所用运行"),
    "kind": ("Kind of report", "报告类型"),
    "kinds": ("☐ opening ☐ progress ☐ final", "☐ 开题 ☐ 进展 ☐ 期末"),
    "student": ("Name", "姓名"), "number": ("Student number", "学号"), "date": ("Date", "日期"),
    "how": ("Tables, figures, settings and numbers come from the files of the run; every place marked “{todo}” is "
            "yours. An opening report needs sections 1 and 2 and a plan, a progress report also section 3 and what has "
            "been run, a final report all of it.",
            "表格、插图、设置和数值都取自该运行的结果文件；凡标有“{todo}”之处由你自己撰写。"
            "开题报告写第 1、2 节和实验计划，进展报告再加上第 3 节和已完成的实验，期末报告写全部各节。"),

    # 1 to 3
    "background": ("1 Background and idea", "1 背景与思路"),
    "idea": ("The idea in a sentence: {idea}", "一句话概括：{idea}"),
    "ask_background": ((
        "Which problem does the paper solve? How was it solved before, and what was wrong with that?",
        "Say the sentence above in your own words: which step is designed by hand, and which one is learnt?",
        "When should this idea work, and when must it fail? (Come back to your answer in section 5.)"), (
        "论文要解决什么问题？此前的方法是怎样做的，有什么不足？",
        "用自己的话解释上面这句话：哪些步骤由人设计，哪些步骤由网络学习得到？",
        "这一思路在什么条件下应当有效，在什么条件下必然失效？（写完第 5 节后再回来看你的回答。）")),
    "principle": ("2 Principle and flow", "2 原理与流程"),
    "no_network": ("The run has no figure of the network or the flow yet. Command: {command}",
                   "该运行还没有网络结构图或流程图。运行命令：{command}"),
    "ask_principle": ((
        "Write the formula of each step in the order in which the data flow. "
        "Explain every symbol: meaning, range, tensor shape (such as N x C x H x W), and its name in the code.",
        "Write the loss. What does each of its terms do? If nothing is trained, what is optimised or solved instead?",
        "Go through the figure: size of the input and of the output of every stage. "
        "Check one by hand (side after a convolution, receptive field, or number of parameters).",
        "Draw two flow charts: from files to trained weights, and from files to metrics."), (
        "按数据流动的顺序写出每一步的公式，并解释每个符号："
        "含义、取值范围、张量形状（如 N x C x H x W），以及它在代码中的名称。",
        "写出损失函数，说明每一项的作用。如果没有训练过程，被优化或求解的是什么？",
        "对照结构图，说明各阶段输入与输出的尺寸，并手算验证其中一处（例如卷积后的边长、感受野或参数量）。",
        "画两张流程图：从数据文件到训练好的权重，以及从数据文件到评价指标。")),
    "ask_model": ("The network of this run has the settings {settings}: where does each stand in your formulas, and "
                  "what happens when it grows?",
                  "本次运行的网络设置为 {settings}：它们分别对应公式中的哪个量，取值变大时会怎样？"),
    "source": ("3 Source description", "3 源代码说明"),
    "source_said": ("Files of {folder}, with the first sentence of each docstring. Settings: {config}.",
                    "以下为 {folder} 中的文件，“文档字符串”一栏照录源代码中文档字符串的首句。各项设置见 {config}。"),
    "source_table": ("the case's files, functions and classes", "本案例的文件、函数与类"),
    "file": ("file", "文件"), "name": ("name", "名称"), "docstring": ("docstring", "文档字符串"),
    "mine": ("in my words", "我的说明"),
    "module": ("(the file, {lines} lines)", "（整个文件，{lines} 行）"),
    "unreadable": ("(cannot be read as Python: {problem})", "（无法按 Python 解析：{problem}）"),
    "ask_source": ((
        "Which functions does one training step (or one optimisation step) call, in which order? "
        "Which does one tested item?",
        "Take the function that you find most important. Explain it line by line, with the shapes.",
        "What did you change in the source, and why?"), (
        "一个训练步（或优化步）依次调用了哪些函数？测试一个样本时又依次调用了哪些？",
        "选出你认为最重要的一个函数，结合张量形状逐行解释。",
        "你修改过哪些代码？为什么？")),

    # 4
    "experiments": ("4 Experiments and results", "4 实验过程与结果"),
    "environment": ("4.1 Environment", "4.1 运行环境"),
    "versions": ("versions", "软件版本"), "software": ("software", "软件"), "version": ("version", "版本"),
    "parts": ("what ran, where and for how long (of paths only the last part)",
              "各部分的设备、用时与命令（路径只保留末段）"),
    "part": ("part", "部分"), "device": ("device", "设备"), "threads": ("threads", "线程数"), "time": ("time", "用时"),
    "memory": ("peak memory, MiB", "内存峰值（MiB）"), "command": ("command", "命令"),
    "no_environment": ("The run has no environment.json: it is not known what it ran on.",
                       "该运行没有 environment.json，无从得知其运行环境。"),
    "settings": ("4.2 Settings", "4.2 设置"),
    "settings_said": ("Bold: differs from the default in {config}. The last two columns are filled only where default "
                      "or paper (`preset=paper`) differ from this run.",
                      "粗体表示与 {config} 中的默认值不同；"
                      "后两栏只在默认值或论文设置（`preset=paper`）与本次运行不同时填写。"),
    "settings_said_plain": ("Bold: differs from the default in {config}. The case has no `preset=paper` to compare "
                            "with.",
                            "粗体表示与 {config} 中的默认值不同。本案例没有可供对照的 `preset=paper`。"),
    "settings_table": ("settings of the run {run}", "运行 {run} 的设置"),
    "setting": ("setting", "设置项"), "ours": ("this run", "本次运行"), "default": ("default", "默认值"),
    "of_paper": ("paper", "论文"),
    "not_trained": ("This run has not trained, so `train.…` is left out: its weights stand in 4.3.",
                    "该运行没有训练过程，因此不列出 `train.…`；所用权重见 4.3。"),
    "no_settings": ("The run has no settings yet.", "该运行还没有设置记录。"),
    "data": ("4.3 Data set and protocol", "4.3 数据集与评测协议"),
    "data_table": ("test sets", "测试集"),
    "set": ("set", "测试集"), "root": ("data", "数据"), "weights": ("weights", "权重"), "count": ("items", "样本数"),
    "failed": ("failed", "失败数"), "protocols": ("protocols", "协议"),
    "other_settings": ("settings other than in 4.2", "与 4.2 不同的设置"),
    "failures": ("Failed in {set}: {items}", "{set} 中失败的样本：{items}"),
    "more": ("and {count} more", "另有 {count} 个"),
    "ask_data": ((
        "How many training and test items are there, of which size, and how are they kept apart?",
        "Define each metric of the tables below with its formula. "
        "Is larger or smaller better, and what does it not see?",
        "What do the protocols allow, and which numbers may be compared with which?"), (
        "训练集与测试集各有多少样本，尺寸如何，怎样保证两者不重叠？",
        "写出下面各表中每个指标的定义和公式：越大越好还是越小越好？它反映不出什么？",
        "各评测协议允许使用什么信息？哪些数值之间可以比较，哪些不可以？")),
    "training": ("4.4 Training", "4.4 训练过程"),
    "curve_table": ("numbers of the training curve, at which step", "训练曲线的数值（括号内为步数）"),
    "stage": ("stage", "阶段"), "quantity": ("quantity", "量"),
    "first": ("first", "首值"), "last": ("last", "末值"), "best": ("best", "最佳"),
    "curve_said": ("`val_…` is measured on held-out data, its best by the metric's direction; of all other quantities "
                   "the smallest counts as best.",
                   "`val_…` 在留出数据上测得，按指标方向取最佳；其余各量以最小值为最佳。"),
    "no_training": ("This run has no training log (release weights need none). Command: {command}",
                    "该运行没有训练日志（使用预训练权重时不需要训练）。运行命令：{command}"),
    "results": ("4.5 Results", "4.5 测试结果"),
    "results_of": ("4.5.{number} {set}", "4.5.{number} {set}"),
    "results_table": ("mean over the items of {set}", "{set} 上的均值"),
    "method": ("method", "方法"), "protocol": ("protocol", "协议"), "from": ("source", "来源"),
    "left_out": ("* left out of the mean, as not finite: {names}.", "* 非有限值，未计入均值：{names}。"),
    "classes_table": ("{set} by classes of the items; method {method}, protocol {protocol}",
                      "{set} 按样本类别统计；方法 {method}，协议 {protocol}"),
    "classing": ("classing", "分类依据"), "class": ("class", "类别"),
    "published_table": ("published numbers on sets that this run was not tested on",
                        "文献在本次运行未测试的数据集上公布的数值"),
    "metrics": ("metrics", "指标"),
    "no_published": ("The configuration names no published numbers that could be compared.",
                     "配置文件没有给出可供比较的文献数值。"),
    "no_test": ("This run has not been tested. Command: {command}", "该运行还没有测试结果。运行命令：{command}"),
    "unfinished": ("The test on {set} has begun and not ended. Command: {command}",
                   "{set} 上的测试已开始但未完成。运行命令：{command}"),
    "figures": ("4.6 Figures", "4.6 插图"),
    "no_figures": ("This run has no figures yet. Command: {command}", "该运行还没有插图。运行命令：{command}"),
    "figure": ("Figure {number}", "图 {number}"), "table": ("Table {number}", "表 {number}"),
    "own_number": ("4.{number}", "4.{number}"),

    # 5: questions made of the run's own numbers, then general ones
    "analysis": ("5 Analysis", "5 结果分析"),
    "analysis_said": ("Answer in your own words, with numbers and figures from section 4.",
                      "请用自己的话回答，并引用第 4 节中的数值和插图。"),
    "q_items": ("On {set} ({row}), item {worst} is the worst by {metric} ({low}), and item {best} the best ({high}). "
                "Look at the {what} of both: why?",
                "在 {set} 上（{row}），按 {metric} 衡量，样本 {worst} 最差（{low}），样本 {best} 最好（{high}）。"
                "对照两者的{what}：为什么？"),
    "output": ("output", "输出"),
    "with_target": ("input, the output and the target", "输入、输出与目标"),
    "without_target": ("input and the output", "输入与输出"),
    "q_baseline": ("On {set}, {method} comes closest to {network} of all simple methods: {metric} {theirs} against "
                   "{ours} ({protocol}, n = {count}). What does {network} do that {method} cannot, and which other "
                   "metric or figure shows it?",
                   "在 {set} 上，基线方法 {method} 与 {network} 最接近：前者的 {metric} 为 {theirs}，后者为 {ours}"
                   "（{protocol}，{count} 个样本）。{network} 做到了哪些 {method} 做不到的事？"
                   "哪个指标或哪幅插图能说明这一点？"),
    "q_ahead": ("On {set}, the simple method {method} is as good as {network} or better: {metric} {theirs} against "
                "{ours} ({protocol}, n = {count}). Why? Is it really the better method, or does the metric miss "
                "something?",
                "在 {set} 上，基线方法 {method} 不逊于 {network}：前者的 {metric} 为 {theirs}，后者为 {ours}"
                "（{protocol}，{count} 个样本）。为什么？是它确实更好，还是这一指标忽略了什么？"),
    "q_class": ("In the classes of {set} by {classing}, {worst} is the weakest ({metric} {low}, n = {worst_count}) and "
                "{best} the strongest ({high}, n = {best_count}). What makes the weak one hard, and are there enough "
                "items to say so?",
                "{set} 按 {classing} 分类时，{worst} 最弱（{metric} 为 {low}，{worst_count} 个样本），"
                "{best} 最强（{high}，{best_count} 个样本）。弱的一类难在哪里？样本数足以得出这一结论吗？"),
    "q_protocols": ("{metric} of {network} on {set}: {values}. What does the difference between the protocols say "
                    "about the kind of error?",
                    "在 {set} 上，{network} 的 {metric}：{values}。协议之间的差别说明误差主要是哪一类？"),
    "q_sets": ("The same weights by {metric}: {values} ({row}). Why do the sets differ, and which one says more about "
               "new material?",
               "同一组权重的 {metric}：{values}（{row}）。各测试集为什么不同？哪一个更能说明在新数据上的表现？"),
    "q_curve": ("{name} was best at step {step} of {total} ({value}). Would longer training help? Do training and "
                "validation still move together?",
                "{name} 在第 {step} 步（共 {total} 步）达到最佳（{value}）。继续训练会更好吗？"
                "此时训练曲线与验证曲线是否仍然同步？"),
    "q_published": ("Published for {method} on {set}: {metric} {theirs}; this run has {ours} ({row}). "
                    "Which differences in settings or protocol explain it, and how would you check?",
                    "文献公布的 {method} 在 {set} 上的 {metric} 为 {theirs}，本次运行为 {ours}（{row}）。"
                    "哪些设置或协议上的差别可以解释？怎样验证？"),
    "q_paper": ("{count} setting(s) differ from the paper ({keys}). Which of them matters most? Change one and measure "
                "(ablation).",
                "有 {count} 项设置与论文不同（{keys}）。其中哪一项影响最大？只改变一项并测量（消融实验）。"),
    "q_failed": ("On {set}, {count} item(s) failed (4.3). Why, and what should the program do with such material?",
                 "{set} 上有 {count} 个样本失败（见 4.3）。原因是什么？程序应当怎样处理这样的输入？"),
    "q_general": ((
        "Show results from different environments (scenes, light, viewpoints, motions, styles: what the case varies) "
        "side by side and compare them.",
        "Show two failures with their reason. Which assumption of the method is violated in each?",
        "How large is a difference that means something? Repeat with another `seed` and say how far the numbers move.",
        "What does the method cost (time, memory), and is its gain over the simplest method worth it?"), (
        "选取不同环境下的结果（场景、光照、视角、运动、风格等，视案例而定）并排展示，加以比较。",
        "给出两个失败的例子并说明原因：它们分别违反了方法的哪一条假设？",
        "多大的差别才有意义？换一个 `seed` 重做，说明数值变动的幅度。",
        "该方法的代价（时间、内存）如何？与最简单的方法相比，所得是否值得？")),

    # 6, 7
    "extension": ("6 Extension tasks", "6 拓展要求"),
    "extension_said": ("The tasks and their commands stand in {readme}.", "任务及其命令见 {readme}。"),
    "presets_table": ("presets: ready-made experiments, what they change, and my result",
                      "预设（preset）：现成的实验、所改动的设置与我的结果"),
    "preset": ("preset", "预设"), "changes": ("changes", "改动"), "my_result": ("my result", "我的结果"),
    "other_runs": ("Other runs of this case to compare with: {runs}.", "可与之对比的其他运行：{runs}。"),
    "own_material": ("Own material tested in this run: {sets} (numbers in 4.5).",
                     "本次运行测试过的自备数据：{sets}（数值见 4.5）。"),
    "ask_extension": ((
        "Which task did you choose? Say first what you expected, then what came out.",
        "Which settings or which code did you change? Give the command, so that others can repeat it.",
        "Put the result beside the basic task's, under the same protocol."), (
        "你选择了哪项任务？先写预期，再写实际结果。",
        "改动了哪些设置或代码？给出命令，使他人能够重复。",
        "在同一协议下，与基本要求的结果并列比较。")),
    "conclusion": ("7 Conclusion", "7 结论"),
    "ask_conclusion": ((
        "What has been reproduced, with which numbers, and what has not?",
        "What is the most important thing that you have learnt, and what would you try next?"), (
        "复现了什么，数值如何？哪些没有复现？",
        "你最重要的收获是什么？接下来会尝试什么？")),
    "references": ("References", "参考文献"),
    "more_references": ("What else you have used:", "其他参考资料："),
    "no_reference": ("The configuration names no paper.", "配置文件没有写明论文。"),
}


class Sheet:
    """Markdown in the making: paragraphs, numbered tables and figures. folder: where the file will lie."""

    def __init__(self, run, language, folder):
        self.language, self.folder, self.lines, self.tables, self.unnumbered = language, folder, [], 0, 0
        self.about, self.presets = run_folder.about(run.case), run_folder.presets_of(run.case)
        self.defaults = run_folder.settings_of(run.case)
        self.config = path_link(f"configs/{run.case}.yaml", self.to(paths.ROOT / "configs" / f"{run.case}.yaml"))

    def say(self, key, **values):
        """The text of a key of TEXT in this language; a tuple of texts where the key has several."""
        text = TEXT[key][LANGUAGES.index(self.language)]
        return text if isinstance(text, tuple) else text.format(**values)

    def add(self, *lines):
        """A paragraph, table or list."""
        self.lines += [*([""] if self.lines else []), *lines]

    def heading(self, level, key, **values):
        self.add("#" * level + " " + self.say(key, **values))

    def todo(self):
        """The place that the student fills."""
        self.add(f"> {self.say('todo')}")

    def ask(self, *questions):
        """Prompts as a list, and one place to answer them."""
        self.add(*(f"- {question}" for question in questions))
        self.todo()

    def table(self, title, header, rows):
        """A numbered table; header: keys of TEXT, or other words, which stay as they are."""
        self.tables += 1
        self.add(f"**{self.say('table', number=self.tables)}**{self.say('colon')}{title}")
        self.add(*table([self.say(name) if name in TEXT else name for name in header], rows))

    def figure(self, entry, folder):
        """A picture with its caption under it; a figure without a number in the course text is numbered here."""
        number = entry.get("number")
        if not number:
            self.unnumbered += 1
            number = self.say("own_number", number=self.unnumbered)
        alt, title = prose(entry["alt"][self.language]), prose(entry["title"][self.language])
        self.add("!" + path_link(alt, self.to(folder / "figures" / entry["file"])))
        self.add(f"**{self.say('figure', number=prose(number))}**{self.say('colon')}{title}")

    def to(self, path):
        """The path from the written file to another, as links have it."""
        return relative(path, self.folder)

    def join(self, texts):
        """Texts as a list in a sentence or cell."""
        return self.say("and").join(texts) or self.say("none")

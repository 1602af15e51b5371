"""The page: its words in two languages, its tabs, its visitors. Gradio draws and serves it, on this machine alone.

Components are made by Page.put, whose keywords may be Words: the switch changes these and leaves the rest as it is.
"""
import re
from typing import NamedTuple

import gradio as gr

from common.play import work

LARGEST = "200mb"                       # of an upload
# of pictures and videos; Gradio's own share one would send them to another host
BUTTONS = {gr.Image: ["download", "fullscreen"], gr.Gallery: ["download", "fullscreen"], gr.Video: ["download"]}
CSS = ".grid-wrap.fixed-height { min-height: 0; max-height: none; }"       # a gallery is as high as its pictures
LONGEST = 1200                          # pixels: the longest side of what is shown; results are whole in the download


class Words(NamedTuple):
    """A text in both languages."""
    en: str
    zh: str


class Offer(NamedTuple):
    """What a case gives the page: build(page, parts) makes a tab; offers with the same build share one."""
    title: Words
    build: object
    parts: list = []


DONE, STOPPED, WORKING = Words("done", "完成"), Words("stopped", "已停止"), Words("working", "正在计算")
HELP = Words("Everything stays on this machine: the page asks no other, and uploads are removed when you close it. "
             "One piece of work is done at a time.",
             "一切都在本机完成：页面不访问任何其他主机，关闭页面后，上传的文件即被删除。同一时间只处理一项任务。")


class Page:
    """The page while it is built."""

    def __init__(self, visitors):
        self.visitors, self.spoken, self.first = visitors, [], "zh"
        self.at_first = []              # (function, outputs) that a page which opens calls

    def put(self, component, *values, **options):
        """A component, or a container to be entered with `with`; Words among its options follow the switch."""
        words = {name: value for name, value in options.items() if has_words(value)}
        if component in BUTTONS:
            options["buttons"] = BUTTONS[component]
        made = component(*values, **options | in_language(words, self.first))
        if words:
            self.spoken.append((made, words))
        if component is gr.File and options.get("interactive", True):
            made.upload(self.take, made, None, queue=False, show_progress="hidden")
        return made

    def speak(self, language):
        """The updates of all components in `spoken` for a language."""
        return [gr.update(**in_language(words, language)) for _, words in self.spoken]

    def visitor(self, request):
        """The Visitor of a request."""
        return self.visitors.of(request.session_hash)

    def work(self, button, stop, task, inputs, outputs, show):
        """Let a button run task(report, folder, *values of inputs) -> (a line about it, result), and show the result.

        outputs: components; the first is the line of status. show(kind, value): values of the other outputs, of what
        the task reported (kind `partial`) and of its result (`done`). stop: the button that ends it.
        """
        def begin(request: gr.Request, *values):
            visitor, stay = self.visitor(request), [gr.skip()] * (len(outputs) - 1)
            folder = visitor.new_folder()
            yield both(WORKING), *stay
            for kind, value in work.run(visitor, lambda report: task(report, folder, *values)):
                if kind == "done":
                    (line, value), seconds = value
                    kind_said = f"{both(DONE)}, {seconds}{': ' * bool(line)}{line}"
                else:
                    kind_said = self.without_folders(said(kind, value))
                yield kind_said, *(show(kind, value) if kind in ("partial", "done") else stay)
        button.click(begin, inputs, outputs, concurrency_limit=1, concurrency_id="work", show_progress="hidden")
        stop.click(self.halt, None, None, queue=False)

    def telling(self, function):
        """A function whose first output is a line of status, without folders in it."""
        def call(*values):
            line, *rest = function(*values)
            return self.without_folders(line), *rest
        return call

    def without_folders(self, line):
        """A line in which uploads are called by their names alone."""
        return re.sub(rf"{re.escape(str(self.visitors.root))}[/\\](?:[^/\\:\s]+[/\\])*", "", line)

    def greet(self, request: gr.Request):
        """Enter a visitor; the language that the page begins with."""
        self.visitor(request)
        return language_of(request)

    def hear(self, request: gr.Request):
        """The visitor's page is still open."""
        self.visitor(request)

    def take(self, files, request: gr.Request):
        """The visitor has uploaded a file or several."""
        self.visitors.take(request.session_hash, files if isinstance(files, list) else [files])

    def part(self, request: gr.Request):
        """The visitor has closed the page."""
        self.visitors.leave(request.session_hash)

    def halt(self, request: gr.Request):
        """Ask the visitor's work to stop."""
        self.visitor(request).stop.set()


def said(kind, value):
    """The line of status of an event of work.run() but for `done`; that of progress and errors is the event's own."""
    return {"partial": both(WORKING), "stopped": both(STOPPED)}.get(kind, value)


def both(words):
    """Words in both languages, for lines that come and go."""
    return f"{words.zh} {words.en}"


def has_words(value):
    """Whether an option is Words, or choices with Words among them."""
    return isinstance(value, Words) or isinstance(value, list) and any(
        isinstance(entry, tuple) and isinstance(entry[0], Words) for entry in value if entry)


def in_language(words, language):
    """Options whose Words are texts of a language."""
    spoken = {}
    for name, value in words.items():
        if isinstance(value, Words):
            spoken[name] = getattr(value, language)
        else:
            spoken[name] = [(getattr(text, language) if isinstance(text, Words) else text, chosen)
                            for text, chosen in value]
    return spoken


def language_of(request):
    """Chinese where the browser asks for it first, else English."""
    asked = request.headers.get("accept-language", "")
    return "zh" if asked.lower().startswith("zh") else "en"


def build(offers, visitors):
    """The page of these Offers for Visitors, as gradio.Blocks."""
    page = Page(visitors)
    tabs = {}
    for offer in offers:
        tabs.setdefault(offer.build, [offer.title, []])[1].extend(offer.parts)
    with gr.Blocks(title="Vision reproductions", analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
        with gr.Row():
            with gr.Column(scale=4, min_width=320):
                page.put(gr.Markdown, value=Words("# Vision reproductions: playground", "# 视觉论文复现：试用网页"))
            with gr.Column(scale=1, min_width=240):
                language = gr.Radio([("中文", "zh"), ("English", "en")], value="zh", show_label=False, container=False,
                                    elem_id="language")
        page.put(gr.Markdown, value=HELP)
        with gr.Tabs():
            for make, (title, parts) in sorted(tabs.items(), key=lambda tab: -len(tab[1][1])):    # shared ones first
                with page.put(gr.Tab, label=title):
                    make(page, parts)
        components = [component for component, _ in page.spoken]
        language.change(page.speak, language, components, queue=False, show_progress="hidden")
        blocks.load(page.greet, None, language, queue=False)
        for call, outputs in page.at_first:
            blocks.load(call, None, outputs, show_progress="hidden")
        blocks.unload(page.part)
        gr.Timer(work.AFTER / 5).tick(page.hear, None, None, queue=False, show_progress="hidden")
    visitors.watch_over()
    return blocks

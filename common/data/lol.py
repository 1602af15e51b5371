"""What is known of LOL's 500 pictures: which show the same scene, and a validation split that respects it.

LOL has 236 scenes only, most at several exposures; 14 of the 15 evaluation pictures show a scene that training has too.
So validation is drawn by scene, never by file. Groups: bright pictures at 60 x 40 gray, mean removed, normalised
correlation of 0.93 or more, transitive.
"""
import numpy as np

EVALUATION = (1, 22, 23, 55, 79, 111, 146, 179, 493, 547, 665, 669, 748, 778, 780)       # the numbers in eval15

_SCENES = """
1-2, 5-6, 9-10, 12, 13-16, 17-18, 21-24, 25-28, 33, 35-36 38, 39-40 42, 43-46, 47-48, 50-52, 53-56, 57-58, 59-62, 63-64,
67-68, 69-70 73-74, 75-76, 77-78, 79-82, 83-84 86, 87-89, 91-94, 95-96, 97-98, 99-100, 101-104, 105-107, 109-110,
111-114, 115-116, 117-120, 121-124, 125-126, 127-130, 131-132 135-136, 137-138, 139-140, 141-142, 143-146, 147 149-150,
151-152, 154, 157, 159-160, 162, 167, 169, 171-173, 174-176, 179, 180, 183-187, 188-189, 191, 193-195, 196 198, 199-201,
202-203, 204 206, 207 209, 210-212, 213 215, 216, 219-221, 222, 225, 227-229, 230-232, 233 235, 236-238, 239-240,
241-243, 244 246-247, 248-250, 251-253, 254, 257-258, 259-262, 263-264, 265 267, 328 330, 342 344, 450, 460, 464, 468,
469, 470, 471, 472-473, 474-475, 476, 477, 478, 479, 480, 481-482, 483, 484, 485-486, 487, 488, 489, 490, 491, 492,
493-494, 495, 496, 497, 498, 499, 500, 501, 502, 504, 505, 506, 507-508, 511, 512, 514, 515, 517, 522, 523, 524-525,
526-527, 528-531, 532-533, 534-535, 537, 538-539, 540-541, 542-543, 544-545, 546-547, 548-549, 550-551, 552-553,
554-557, 558-559, 560-561, 562-563, 564-565, 566-567, 568-569, 570-572, 573-574, 575-576, 578, 579-580 583,
585-588 590-591, 592-593, 594-597, 598, 600-601, 604-605, 606-607, 608-609, 610-611, 612-613, 614-615, 616-617, 620-621,
622-623, 624-626, 627-628, 629-630, 633-634, 637-638, 639-644, 645-646, 647-648, 649, 650-651 653, 654-655, 658-659,
660-661, 662-663, 664-665, 666-667, 668-669, 670-671, 674-675, 676-677, 678-679, 680-681, 682-683, 684-685, 686-687,
688-689, 690-691, 692-693, 694-695, 696-697, 698-701, 702-704, 708-709, 710-711, 712-713, 714-715, 716-717, 718-719,
720-721, 722-723, 724-725, 726-728, 729-730, 731-732, 733-734, 735-736, 737-738, 739-740, 741, 743-744, 745-746,
747-748, 750, 751-752, 757-758, 759-760, 761-762, 763-764, 765-766, 769-770, 771-772, 773-774, 775-778, 779-780,
781-786, 787-789
"""


def scenes():
    """The 236 scenes, each a list of picture numbers (file names without .png); together all 485 + 15."""
    groups = []
    for text in _SCENES.split(","):
        numbers = []
        for part in text.split():
            first, _, last = part.partition("-")
            numbers += range(int(first), int(last or first) + 1)
        groups.append(numbers)
    return groups


def is_lol(names):
    """Whether these file names are exactly LOL's 485 training or its 15 evaluation pictures."""
    evaluation = {f"{number}.png" for number in EVALUATION}
    return set(names) in (evaluation, {f"{number}.png" for group in scenes() for number in group} - evaluation)


def shares_scene_with_evaluation(name):
    """Whether a training or evaluation picture of LOL shows a scene that both our485 and eval15 have."""
    number = int(name.removesuffix(".png"))
    group = next(set(group) for group in scenes() if number in group)
    return bool(group & set(EVALUATION) and group - set(EVALUATION))


def validation_names(names, seed=0, count=26):
    """Which training pictures to hold out, sorted as in `names`.

    LOL: all pictures of `count` scenes, drawn by seed among those that eval15 does not share. Any other set: every
    tenth picture of an order drawn by seed, at least one.
    """
    generator = np.random.default_rng(seed)
    if is_lol(names) and len(names) > len(EVALUATION):
        free = [group for group in scenes() if set(group).isdisjoint(EVALUATION)]
        places = generator.choice(len(free), count, replace=False)
        held = {f"{number}.png" for place in places for number in free[place]}
    else:
        order = generator.permutation(len(names))
        held = {names[place] for place in order[::10]}
    return [name for name in names if name in held]


def one_per_scene(names):
    """The first picture of each scene among `names`; all of them where the names are not LOL's."""
    first = {}
    groups = {f"{number}.png": place for place, group in enumerate(scenes()) for number in group}
    for name in names:
        first.setdefault(groups.get(name, name), name)
    return list(first.values())

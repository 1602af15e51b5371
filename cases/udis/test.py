"""Measure unsupervised stitching, or stitch your own photographs: python cases/udis/test.py [options] [key=value ...]

photographed pairs (a pairs.csv, UDIS-D, two folders)
    python cases/udis/test.py --name check --weights release test.root=FOLDER
your own photographs
    python cases/udis/test.py --weights release --input FOLDER --output panorama/
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])   # not this folder, whose test.py hides Python's
    import common  # noqa: F401  says in a line what is missing

from cases.udis.baselines import ALIGNED, JOINED, answers, as_pieces, domain, join_all, network_blend
from cases.udis.data import class_of, read_photographed
from cases.udis.joins import JOINED_ON, bent_domain, cut_share, hard, join_bent, more_joined
from cases.udis.mesh_learnt import bend_learnt
from cases.udis.meshes import HONEST, bend_all, bent_rows, measure_bent
from cases.udis.model import UDIS
from cases.udis.quality import ALIGN, JOIN, measure_alignment, measure_joined
from common.base.errors import UserError, start
from common.data.images import to_bytes, to_tensor, write_image
from common.experiment.run import Run
from common.stitching.estimators import estimator, stitch_own
from common.stitching.seams import differing_things


def main(argv=None):
    run = Run("udis", "test", argv)
    weights = run.weights()
    model = run.load(UDIS, weights)
    if run.options.input:
        return stitch_own(run, estimator(run.config.test.method, model, run.device), network_blend(model, run.device),
                          network_bend(run, model, weights))
    pairs = read_photographed(run.config.test.root or run.config.data.root, "testing")
    bending = bent_rows(model)
    joining = JOINED + more_joined(bending) if run.config.test.reconstruct else []
    rows = ALIGNED + bending + joining
    classings = sorted({name for place in range(len(pairs)) for name in pairs.classes(place)} | {"seen"})
    results = run.results(pairs.set_name, weights, pairs.fingerprint(), rows=rows, metrics=ALIGN + HONEST + JOIN,
                          classings=classings, ranked="psnr_overlap")

    def measure_pair(place):
        """{row: (metrics, image path)} of one pair."""
        a, b = pairs.pair(place)
        found = answers(model, a, b, run.device, run.config.test.refine.start)
        bent, unused = bend_all(model, a, b, found["refined"], run.device)
        lines = measure(found | bent, a, b, unused, ["refined", *bent])
        if run.config.test.reconstruct:
            kept = pairs.names[place] if place < run.config.test.images else None
            lines |= reconstruct(run, model, results, a, b, bent, kept)
        return lines
    for place, item, lines in results.remaining(pairs.names, measure_pair):
        results.add(item, lines, classes=pairs.classes(place) | {"seen": class_of(pairs, place)})
    inputs = {item: str(pairs.files[2 * place]) for place, item in enumerate(pairs.names)}
    content = run.finish_test(results, weights, pairs.names, inputs=inputs)
    run.say(results.table(content, ALIGN, ALIGNED + bending, "pairs"))
    run.say(results.table(content, HONEST, ["refined", *bending], "pairs"))
    if joining:
        run.say(results.table(content, JOIN, joining, "pairs"))
    run.say(f"results: {results.final}")
    return results.expect_no_failures("pair")


def network_bend(run, model, weights):
    """What test.warp=mesh_learnt stands for; None for other warps."""
    if run.config.test.warp != "mesh_learnt":
        return None
    if model.mesh is None:
        raise UserError(f"test.warp=mesh_learnt: {weights.path} has no learnt mesh: weights that stage=mesh trained "
                        "were expected: give others (--weights), or set test.warp=mesh, which needs none")
    return lambda a, b, H_ba: bend_learnt(model, a, b, H_ba, run.device)


def measure(found, a, b, unused, bending):
    """{row: (metrics, None)} of every homography and mesh; unused: the matches that no mesh has used."""
    identity = measure_alignment(found["identity"], a, b).get("psnr_overlap")
    lines = {row: measure_alignment(answer, a, b, identity) for row, answer in found.items()}
    for row in bending:
        lines[row] |= measure_bent(found[row], a, b, unused)
    return {row: (values, None) for row, values in lines.items()}


def reconstruct(run, model, results, a, b, bent, item):
    """{row: (metrics, image path)} of the ways to join the pair, on the refined homography and on the meshes of
    {row: Answer}; pictures are kept where item is given."""
    answer = bent["mesh"]
    if answer.H_ba is None:
        return {row: ({"reason": answer.reason}, None) for row in JOINED + more_joined(bent)}
    warps, _ = domain(a, b, answer.H_ba)
    ways = [(warps, join_all(model, warps, run.device) | {"cut": hard(cut_share(warps), warps)})]
    for mesh in (row for row in JOINED_ON if row in bent):
        seen = bent_domain(a, b, bent[mesh])
        ways.append((seen, join_bent(model, seen, mesh, run.device)))
    lines = {}
    for seen, joined in ways:
        things = differing_things(as_pieces(seen))
        for row, made in joined.items():
            picture = to_tensor(to_bytes(made.picture[0]))                # as written
            path = results.image_path(item, row) if item else None
            if path:
                write_image(path, picture)
            lines[row] = measure_joined(made._replace(picture=picture[None]), seen, things), path
    return lines


if __name__ == "__main__":
    sys.exit(start(main))

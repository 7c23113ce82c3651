"""Who answers a network call: rows made up here, which build nothing on the disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.backends.backing import Backing, Wish, difference
from modules.backends.eager import ROW as EAGER_ROW
from modules.backends.record import Backend, CannotStandIn, Work
from modules.registry import Registry
from modules.steering.seamless import circular
from tests.backends.conftest import ask, call, residuals

Plain = Callable[..., torch.Tensor]


def _mirror(work: Work) -> Any:
    """The network itself, as another one."""
    return lambda tensors: work.network(*tensors)


def _rows(build: Callable[[Work], Any], **changes: Any) -> Registry[Backend]:
    rows: Registry[Backend] = Registry("backend")
    rows.add("eager", EAGER_ROW)
    row = Backend(title="Mirror", help="", source="", probe=lambda kind: "", build=build, tolerance={"float32": 1e-5})
    rows.add("mirror", dataclasses.replace(row, **changes))
    return rows


def _backing(folder: Path, build: Callable[[Work], Any] = _mirror, start: Any = None, **changes: Any) -> Backing:
    return Backing("cpu", folder, rows=_rows(build, **changes), **({} if start is None else {"start": start}))


def test_a_good_backend_answers(network: Any, tmp_path: Path, plain: Plain):
    told, use = ask(network, _backing(tmp_path), "mirror", call(), {**call(), **residuals(call())})
    assert torch.equal(told[0], plain(network, call()))
    assert torch.equal(told[1], plain(network, {**call(), **residuals(call())}))
    assert (use.answered, use.notes) == (2, [])


def test_the_network_is_as_before_afterwards(network: Any, tmp_path: Path, plain: Plain):
    before = plain(network, call())
    ask(network, _backing(tmp_path), "mirror", call())
    assert torch.equal(plain(network, call()), before)
    assert not network._diffusers_hook.hooks


def test_a_backend_that_lies_is_caught(network: Any, tmp_path: Path, plain: Plain):
    built: list[Work] = []

    def lying(work: Work) -> Any:
        built.append(work)
        return lambda tensors: work.network(*tensors) * 1.01

    backing = _backing(tmp_path, lying)
    told, use = ask(network, backing, "mirror", call(), call(seed=2))
    assert torch.equal(told[0], plain(network, call()))
    assert torch.equal(told[1], plain(network, call(seed=2)))
    assert use.answered == 0
    assert use.notes == ["Mirror stood aside for eager torch: its numbers were 0.01 away from eager's, where 1e-05 is allowed."]
    _, again = ask(network, backing, "mirror", call())
    assert again.notes == use.notes
    assert len(built) == 1  # it is not built a second time to fail again


def test_a_backend_that_lies_about_one_size_only_is_caught_there(network: Any, tmp_path: Path, plain: Plain):
    def sometimes(work: Work) -> Any:
        return lambda tensors: work.network(*tensors) + (0.1 if len(tensors[0]) == 3 else 0)

    told, use = ask(network, _backing(tmp_path, sometimes), "mirror", call(), call(rows=3))
    assert torch.equal(told[1], plain(network, call(rows=3)))
    assert use.answered == 1
    assert len(use.notes) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda tensors: tensors[0][:, :1], "inf away"),
        (lambda tensors: tensors[0] * float("nan"), "inf away"),
        (lambda tensors: 1 / 0, "ZeroDivisionError: division by zero."),
    ],
)
def test_whatever_goes_wrong_eager_answers(network: Any, tmp_path: Path, plain: Plain, answer: Any, words: str):
    told, use = ask(network, _backing(tmp_path, lambda work: answer), "mirror", call())
    assert torch.equal(told[0], plain(network, call()))
    assert words in use.notes[0]


def test_numbers_that_go_wrong_later_are_not_passed_on(network: Any, tmp_path: Path, plain: Plain):
    def failing(work: Work) -> Any:
        left = [1]

        def answer(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
            return work.network(*tensors) if left and left.pop() else tensors[0] * float("nan")

        return answer

    told, use = ask(network, _backing(tmp_path, failing), "mirror", call(), call())
    assert torch.equal(told[1], plain(network, call()))
    assert use.notes == ["Mirror stood aside for eager torch: it gave values that are not numbers."]


def test_what_cannot_be_built_is_told(network: Any, tmp_path: Path):
    def refusing(work: Work) -> Any:
        raise CannotStandIn("it does not like this network.")

    _, use = ask(network, _backing(tmp_path, refusing), "mirror", call())
    assert use.notes == ["Mirror stood aside for eager torch: it does not like this network."]


def test_what_is_not_usable_here_is_not_built(network: Any, tmp_path: Path):
    def never(work: Work) -> Any:
        raise AssertionError

    _, use = ask(network, _backing(tmp_path, never, probe=lambda kind: f"there is no card ({kind})."), "mirror", call())
    assert use.notes == ["Mirror stood aside for eager torch: there is no card (cpu)."]


def test_a_number_type_without_a_tolerance_is_not_taken(network: Any, tmp_path: Path):
    _, use = ask(network, _backing(tmp_path, tolerance={"float16": 1.0}), "mirror", call())
    assert use.notes == ["Mirror stood aside for eager torch: it does not compute in float32 here."]


def test_in_the_background_the_first_picture_is_eagers(network: Any, tmp_path: Path):
    waiting: list[Callable[[], None]] = []
    backing = _backing(tmp_path, start=waiting.append)
    _, use = ask(network, backing, "mirror", call(), call(), background=True)
    assert (use.answered, len(waiting)) == (0, 1)
    assert use.notes == ["Mirror stood aside for eager torch: it is being prepared in the background for the next pictures."]
    _, use = ask(network, backing, "mirror", call(), background=True)
    assert use.notes == ["Mirror stood aside for eager torch: it is still being prepared."]
    assert len(waiting) == 1
    waiting.pop()()
    _, use = ask(network, backing, "mirror", call(), background=True)
    assert (use.answered, use.notes, waiting) == (1, [], [])


def test_a_picture_is_not_begun_one_way_and_ended_another(network: Any, tmp_path: Path):
    waiting: list[Callable[[], None]] = []
    with torch.inference_mode(), _backing(tmp_path, start=waiting.append).standing_in(network, Wish(name="mirror")) as use:
        assert use is not None
        network(**call())
        waiting.pop()()
        network(**call())
        assert use.answered == 0


def test_other_weights_are_another_network(network: Any, tmp_path: Path, plain: Plain):
    backing = _backing(tmp_path, lambda work: lambda tensors, twin=work.network: twin(*tensors))
    before, _ = ask(network, backing, "mirror", call())
    built = backing.shelf("mirror", backing._shelf.key[1])
    with torch.no_grad():
        network.conv_in.weight.mul_(1.5)
    told, use = ask(network, backing, "mirror", call())
    assert backing._shelf is not built
    assert torch.equal(told[0], plain(network, call()))
    assert not torch.equal(told[0], before[0])
    assert use.answered == 1


def _freeu(network: Any) -> Any:
    network.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    return network.disable_freeu


def _tiling(network: Any) -> Any:
    inside = circular(network)
    inside.__enter__()
    return lambda: inside.__exit__(None, None, None)


def _extension(network: Any) -> Any:
    return network.mid_block.register_forward_hook(lambda module, args, output: output * 2).remove


def _deepcache(network: Any) -> Any:
    from diffusers.hooks import HookRegistry, ModelHook

    registry = HookRegistry.check_if_exists_or_initialize(network.mid_block)
    registry.register_hook(ModelHook(), "darkroom_reuse")
    return lambda: registry.remove_hook("darkroom_reuse", recurse=False)


@pytest.mark.parametrize(
    ("put", "words"),
    [(_freeu, "FreeU"), (_tiling, "Tiling"), (_extension, "an extension"), (_deepcache, "DeepCache")],
)
def test_what_works_inside_the_network_is_never_passed_over(network: Any, tmp_path: Path, plain: Plain, put: Any, words: str):
    backing = _backing(tmp_path)
    ask(network, backing, "mirror", call())
    take = put(network)
    expected = plain(network, call())
    told, use = ask(network, backing, "mirror", call())
    assert torch.equal(told[0], expected)
    assert use.answered == 0
    assert words in use.notes[0]
    take()
    _, use = ask(network, backing, "mirror", call())
    assert use.answered == 1


def test_an_argument_that_is_no_tensor(network: Any, tmp_path: Path):
    _, use = ask(network, _backing(tmp_path), "mirror", {**call(), "cross_attention_kwargs": {"scale": 0.5}})
    assert "no tensor (cross_attention_kwargs)" in use.notes[0]


def test_eager_sets_nothing_on_the_network(network: Any, tmp_path: Path):
    with _backing(tmp_path).standing_in(network, Wish()) as use:
        assert use is None
        assert not hasattr(network, "_diffusers_hook")


def test_the_difference_is_a_share_of_the_largest_value():
    own = torch.tensor([0.0, -4.0, 2.0])
    assert difference(own + 0.04, own) == pytest.approx(0.01)
    assert difference(own[:2], own) == float("inf")
    assert difference(own, own * float("nan")) is None

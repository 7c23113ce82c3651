"""Two clients that other people wrote for A1111's API, against our server over real HTTP with the starter model."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import webuiapi
from diffusers import ControlNetModel as Net
from diffusers import UNet2DConditionModel
from PIL import Image, ImageDraw
from sd_backend_client import A1111Webservice, connect_to_backend
from sd_backend_client.api.shared_data.controlnet.controlnet_model import ControlNetModel
from sd_backend_client.api.shared_data.controlnet.controlnet_unit import ControlNetUnit
from sd_backend_client.api.shared_data.generation_handle import GenerationStatus
from sd_backend_client.api.webui.diffusion_request_body import DiffusionRequestBody
from sd_backend_client.errors import ServerError

from modules.app import App, build
from modules.flags import Flags
from modules.prompts.styles import Style
from modules.server import create
from tests.server.stand_in import serving

pytestmark = pytest.mark.model
SIDE = 64
EDGES = "canny-of-a-test"
SMALL: dict[str, Any] = {"width": SIDE, "height": SIDE, "steps": 2, "seed": 7}


def add_controlnet(starter: Path, folder: Path) -> None:
    """A ControlNet for the starter model that nobody trained; its last layers are no longer zeros, so that it does something."""
    net = Net.from_unet(UNet2DConditionModel.from_pretrained(starter / "unet", local_files_only=True))
    for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block):
        torch.nn.init.normal_(layer.weight, std=0.05, generator=torch.Generator().manual_seed(1))
    net.save_pretrained(folder)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, starter_path: Path) -> Iterator[App]:
    data = tmp_path_factory.mktemp("clients")
    add_controlnet(starter_path, data / "models" / "ControlNet" / EDGES)
    made = build(Flags(data_dir=str(data)))
    made.styles.save(Style(name="Sunny", prompt="sunlight, {prompt}", negative_prompt="rain"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def url(app: App) -> Iterator[str]:
    with serving(create(app)) as address:
        yield address


@pytest.fixture(scope="module")
def web(url: str) -> webuiapi.WebUIApi:
    return webuiapi.WebUIApi(baseurl=f"{url}/sdapi/v1", sampler="Euler a", steps=2)


@pytest.fixture(scope="module")
def backend(url: str) -> A1111Webservice:
    found = connect_to_backend(url)
    assert isinstance(found, A1111Webservice)
    return found


@pytest.fixture(scope="module")
def apple(web: webuiapi.WebUIApi) -> Image.Image:
    """A picture that the model made."""
    return web.txt2img(prompt="a red apple, 3d", **SMALL).image


def mask() -> Image.Image:
    """White in the middle."""
    found = Image.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(found).rectangle((20, 20, 44, 44), fill=255)
    return found


def corner(image: Image.Image) -> bytes:
    """What lies outside of the mask."""
    return image.convert("RGB").crop((0, 0, 12, SIDE)).tobytes()


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


def test_webuiapi_makes_pictures(web: webuiapi.WebUIApi) -> None:
    result = web.txt2img(prompt="a red apple, 3d", negative_prompt="blurry", styles=["Sunny"], n_iter=2, cfg_scale=5, **SMALL)
    assert [image.size for image in result.images] == [(SIDE, SIDE)] * 2
    assert result.info["all_seeds"] == [7, 8]
    assert result.info["all_prompts"][0] == "sunlight, a red apple, 3d"
    assert result.info["sampler_name"] == "Euler a"
    assert (result.parameters["steps"], result.parameters["cfg_scale"]) == (2, 5.0)
    again = web.txt2img(prompt="a red apple, 3d", negative_prompt="blurry", styles=["Sunny"], n_iter=2, cfg_scale=5, **SMALL)
    assert [i.tobytes() for i in again.images] == [i.tobytes() for i in result.images]


def test_webuiapi_makes_pictures_larger_while_it_makes_them(web: webuiapi.WebUIApi) -> None:
    result = web.txt2img(prompt="a red apple, 3d", enable_hr=True, hr_scale=2, hr_upscaler=webuiapi.HiResUpscaler.Latent, **SMALL)
    assert result.image.size == (2 * SIDE, 2 * SIDE)
    assert result.info["width"] == SIDE


def test_webuiapi_begins_with_pictures_and_paints_under_a_mask(web: webuiapi.WebUIApi, apple: Image.Image) -> None:
    changed = web.img2img(images=[apple], prompt="a green apple", denoising_strength=0.6, **SMALL)
    assert changed.image.size == (SIDE, SIDE)
    assert changed.image.tobytes() != apple.tobytes()
    assert changed.parameters["init_images"] is None
    painted = web.img2img(
        images=[apple], mask_image=mask(), mask_blur=0, inpainting_fill=1, inpaint_full_res=False, prompt="a pear", **SMALL
    )
    assert corner(painted.image) == corner(apple)
    assert painted.image.tobytes() != apple.tobytes()
    with pytest.raises(RuntimeError, match="Init image not found"):
        web.img2img(images=[], prompt="a pear", **SMALL)


def test_webuiapi_enlarges(web: webuiapi.WebUIApi, apple: Image.Image) -> None:
    one = web.extra_single_image(image=apple, upscaler_1=webuiapi.Upscaler.Lanczos, upscaling_resize=2)
    assert one.image.size == (2 * SIDE, 2 * SIDE)
    many = web.extra_batch_images(images=[apple, apple.rotate(90)], upscaler_1="Nearest", upscaling_resize=1.5)
    assert [image.size for image in many.images] == [(96, 96)] * 2


def test_webuiapi_reads_parameters_and_describes_pictures(web: webuiapi.WebUIApi, apple: Image.Image) -> None:
    assert "a red apple, 3d" in web.png_info(apple).info
    assert web.png_info(Image.new("RGB", (8, 8))).info == ""
    caption = web.interrogate(apple).info
    assert caption
    with pytest.raises(RuntimeError, match="Model not found"):
        web.interrogate(apple, model="nothing")


def test_webuiapi_changes_settings_and_sends_them_all_back(web: webuiapi.WebUIApi, app: App) -> None:
    before = web.get_options()
    web.set_options({"samples_format": "webp", "CLIP_stop_at_last_layers": 2})
    assert app.settings.current.samples_format == "webp"
    assert web.txt2img(prompt="a", **SMALL).image.format == "WEBP"
    web.set_options(before)
    assert web.get_options() == before
    kept = app.settings.current
    web.set_options(web.get_options())
    assert app.settings.current == kept
    web.util_set_model(web.util_get_current_model())
    assert web.util_get_current_model() == before["sd_model_checkpoint"]


def test_webuiapi_reads_every_list(web: webuiapi.WebUIApi) -> None:
    assert web.util_get_model_names() == [row["title"] for row in web.get_sd_models()]
    assert "Euler a" in web.util_get_sampler_names()
    assert "karras" in [name.lower() for name in web.util_get_scheduler_names()]
    assert [row["name"] for row in web.get_upscalers()][:3] == ["None", "Lanczos", "Nearest"]
    assert len(web.get_latent_upscale_modes()) == 6
    assert [row["name"] for row in web.get_prompt_styles()] == ["Sunny"]
    assert {row["name"] for row in web.get_face_restorers()} >= {"CodeFormer", "GFPGAN"}
    assert set(web.get_embeddings()) == {"loaded", "skipped"}
    assert set(web.get_memory()) == {"ram", "cuda"}
    for found in (web.get_sd_vae(), web.get_loras(), web.get_hypernetworks(), web.get_realesrgan_models()):
        assert isinstance(found, list)
    assert web.get_cmd_flags()["port"] == 7860
    assert set(web.get_scripts()) == {"txt2img", "img2img"}
    assert web.refresh_checkpoints() is None


def test_webuiapi_follows_and_interrupts(web: webuiapi.WebUIApi) -> None:
    web.util_wait_for_ready(check_interval=0.05)
    results: list[webuiapi.WebUIApiResult] = []
    waiting = threading.Thread(target=lambda: results.append(web.txt2img(prompt="a", n_iter=40, **{**SMALL, "steps": 40})))
    waiting.start()
    seen = until(lambda: (found := web.get_progress())["state"]["sampling_step"] > 0 and found)
    assert 0 < seen["progress"] < 1
    assert seen["state"]["job_count"] == 40
    assert web.skip() is None
    assert web.interrupt() == {}
    waiting.join(60)
    [result] = results
    assert 0 < len(result.images) < 40
    web.util_wait_for_ready(check_interval=0.05)
    assert (web.get_progress()["progress"], web.get_progress()["state"]["job_count"]) == (0.0, 0)


def test_webuiapi_finds_controlnet(web: webuiapi.WebUIApi) -> None:
    assert web.has_controlnet, "by the title of a script"
    assert web.controlnet_version() == 3
    assert EDGES in [title.partition(" [")[0] for title in web.controlnet_model_list()]
    assert {"canny", "depth_midas", "softedge_hed", "tile_resample"} <= set(web.controlnet_module_list())


def test_webuiapi_makes_control_maps(web: webuiapi.WebUIApi, apple: Image.Image) -> None:
    made = web.controlnet_detect([apple, apple.rotate(90)], module="canny", processor_res=128, threshold_a=80, threshold_b=160)
    assert made.info == "Success"
    assert [image.size for image in made.images] == [(128, 128)] * 2
    assert {colour for _, colour in made.images[0].convert("RGB").getcolors() or []} == {(0, 0, 0), (255, 255, 255)}
    with pytest.raises(RuntimeError, match="Module not available"):
        web.controlnet_detect([apple], module="cany")
    with pytest.raises(RuntimeError, match="No image selected"):
        web.controlnet_detect([], module="canny")


def test_webuiapi_makes_pictures_with_controlnet(web: webuiapi.WebUIApi, apple: Image.Image) -> None:
    title = web.controlnet_model_list()[0]
    unit = webuiapi.ControlNetUnit(image=apple, module="canny", model=title, processor_res=64, threshold_a=80, threshold_b=160, weight=0.8)
    plain = web.txt2img(prompt="a red apple, 3d", **SMALL)
    made = web.txt2img(prompt="a red apple, 3d", controlnet_units=[unit], **SMALL)
    picture, shown = made.images
    assert picture.tobytes() != plain.image.tobytes()
    assert shown.convert("L").getextrema() == (0, 255), "the map comes after the picture"
    told = made.info["extra_generation_params"]["ControlNet 0"]
    assert told.startswith(
        f"Module: canny, Model: {title}, Weight: 0.8, Resize Mode: Resize and Fill, Processor Res: 64, Threshold A: 80.0"
    )
    again = web.img2img(
        images=[apple], denoising_strength=0.6, prompt="a pear", controlnet_units=[webuiapi.ControlNetUnit(model=title)], **SMALL
    )
    assert len(again.images) == 2, "without a picture of its own the unit looks at the one that the run begins with"
    with pytest.raises(RuntimeError, match="no-such-model"):
        web.txt2img(controlnet_units=[webuiapi.ControlNetUnit(image=apple, model="no-such-model")], **SMALL)


def test_sd_backend_client_finds_out_what_there_is(backend: A1111Webservice, app: App) -> None:
    able = backend.get_capabilities()
    assert (able.controlnet, able.scheduler, able.interrogate, able.soft_inpainting) == (True, True, True, True)
    assert [one.display_name for one in backend.list_checkpoints()] == [c.title for c in app.library.checkpoints()]
    assert "euler_ancestral" in [one.name for one in backend.list_samplers()]
    assert "karras" in [one.name for one in backend.list_schedulers()]
    assert [one.name for one in backend.list_upscalers()][:2] == ["Lanczos", "Nearest"]
    assert EDGES in [one.full_model_name.partition(" [")[0] for one in backend.list_controlnet_models()]
    assert (backend.list_vaes(), backend.list_hypernetworks()) == ([], [])
    assert [one.name for one in backend.list_loras()] == ["darkroom-starter-aperture", "darkroom-starter-blueprint"]
    assert [style.name for style in backend.get_styles()] == ["Sunny"]
    labels = [(p.display_name, p.default_value, p.max_val) for p in backend.get_soft_inpainting_parameters()]
    assert labels[0] == ("Schedule bias", 1.0, 8.0)
    assert len(labels) == 6
    assert backend.get_thumbnail("/etc/passwd") is None


def body(**more: Any) -> DiffusionRequestBody:
    return DiffusionRequestBody(prompt="a red apple, 3d", **{**SMALL, **more})


def test_sd_backend_client_makes_pictures(backend: A1111Webservice, apple: Image.Image) -> None:
    made = backend.submit_txt2img(body(batch_size=2)).wait(timeout=120, poll_interval=0.05)
    assert [image.size for image in made.images] == [(SIDE, SIDE)] * 2
    assert made.seeds == [7, 8]
    changed = backend.submit_img2img(body(init_images=[apple], denoising_strength=0.6)).wait(timeout=120, poll_interval=0.05)
    assert changed.images[0].size == (SIDE, SIDE)
    for soft in (False, True):
        asked = body(init_images=[apple], mask=mask(), inpaint_full_res=soft, soft_inpainting=soft, denoising_strength=0.8)
        painted = backend.submit_inpaint(asked).wait(timeout=120, poll_interval=0.05)
        assert painted.images[0].size == (SIDE, SIDE)
        assert painted.images[0].convert("RGB").tobytes() != apple.convert("RGB").tobytes()


def test_sd_backend_client_enlarges_describes_and_sets(backend: A1111Webservice, apple: Image.Image, app: App) -> None:
    assert backend.submit_upscale(apple, 100, 100).wait(timeout=120, poll_interval=0.05).images[0].size == (100, 100)
    assert backend.interrogate(apple)
    backend.set_config({"eta_noise_seed_delta": 3})
    assert backend.get_config()["eta_noise_seed_delta"] == 3
    backend.set_config({"eta_noise_seed_delta": 0})
    for call in (backend.refresh_checkpoints, backend.refresh_vae, backend.refresh_loras):
        assert call().json() is None


def test_sd_backend_client_follows_and_cancels(backend: A1111Webservice) -> None:
    handle = backend.submit_txt2img(body(n_iter=40, steps=40))
    until(lambda: handle.poll().status is GenerationStatus.ACTIVE and backend.progress_check().progress > 0.01)
    assert handle.cancel()
    until(lambda: handle.done)
    until(lambda: backend.progress_check().state.job_count == 0)


def test_sd_backend_client_uses_controlnet(backend: A1111Webservice, apple: Image.Image) -> None:
    assert backend.get_controlnet_version() == 3
    assert backend.get_controlnet_settings() == {"control_net_unit_count": 3}
    kinds = backend.get_controlnet_type_categories()
    assert next(iter(kinds)) == "All"
    assert "canny" in str(kinds["Canny"])
    canny = next(one for one in backend.get_controlnet_preprocessors() if one.name == "canny")
    ranges = {one.key: (one.default_value, one.max_val) for one in canny.parameters}
    assert (ranges["processor_res"], ranges["threshold_a"]) == ((512, 2048), (100, 256))
    model = next(one for one in backend.list_controlnet_models() if one.full_model_name.startswith(EDGES))
    unit = ControlNetUnit(image=apple, model=model)
    made = backend.submit_txt2img(body(controlnet_units=[unit])).wait(timeout=120, poll_interval=0.05)
    assert made.images[0].size == (SIDE, SIDE)
    unknown = body(controlnet_units=[ControlNetUnit(image=apple, model=ControlNetModel("control_canny [d14c016b]"))])
    with pytest.raises(ServerError) as caught:
        backend.txt2img(unknown)
    assert caught.value.status_code == 422
    assert "control_units[0].model" in str(caught.value)


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_a_password_is_sent_as_these_clients_send_it(app: App, tmp_path: Path, password: str) -> None:
    closed = build(Flags(data_dir=str(tmp_path), api_auth="bot:right"))
    try:
        with serving(create(closed)) as address:
            web = webuiapi.WebUIApi(baseurl=f"{address}/sdapi/v1", username="bot", password=password)
            backend = A1111Webservice(address, credentials_provider=iter([("bot", password), None]).__next__)
            if password == "right":
                assert web.get_progress()["state"]["job_count"] == 0
                assert backend.get_samplers()
            else:
                assert "Incorrect username or password" in str(web.get_progress())
                with pytest.raises(Exception, match=r"no credentials|Login aborted"):
                    backend.get_samplers()
    finally:
        closed.stop()


def test_pictures_come_back_as_the_files_that_were_sent(web: webuiapi.WebUIApi) -> None:
    """A round trip of bytes: what Extras leaves alone is the same picture."""
    image = Image.effect_noise((SIDE, SIDE), 60).convert("RGB")
    back = web.extra_single_image(image=image, upscaler_1="None", upscaling_resize=1).image
    buffer = io.BytesIO()
    back.save(buffer, "PNG")
    assert back.convert("RGB").tobytes() == image.tobytes()

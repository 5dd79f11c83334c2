"""Every loss's gradient against its closed form on Gaussian priors: float64, 1 and 3 scenes, epsilon, v and flow."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nerf2mesh.distill import LOSSES, T_LAST, T_MAX, T_MIN, DistillConfig, settings_read
from nerf2mesh.optimize.distillers import make_distiller
from nerf2mesh.optimize.distillers.variational import PHI, TEACHER
from tests.distill.gaussian import SIZE, Basis, GaussianPrior, generators, guidance_inputs

SCALE = 7.5
SETTINGS = {
    "csd": {"csd_ramp": 0.5},
    "x0": {"guidance_rescale": 0.5},
    "sdi": {"inversion_eta": 0.0, "inversion_scale": -6.5},
    "ism": {"inversion_stride": 0.2, "ism_interval": (0.05, 0.05)},
}
KINDS = ("epsilon", "v", "flow")


def asked(loss: str, kind: str, batch: int, **settings):
    """What a closed form needs: the inputs, and in the eigenbasis its latents x, noise n and noisy latents."""
    prior = GaussianPrior(kind, shared=loss == "sdi")
    usual = {"guidance_scale": SCALE, "weighting": "sds"}
    read = {name: value for name, value in usual.items() if name in settings_read(loss, "linear")}
    config = DistillConfig(loss=loss, **read | SETTINGS.get(loss, {}) | settings)
    q = guidance_inputs(prior, config, batch)
    b, streams = Basis(prior), generators()
    noise = b.into(torch.randn(q.latents.shape, generator=streams["noise"]))
    share = torch.rand(q.time.shape, generator=streams["time"]).numpy().astype(np.float64)
    x, t = b.into(q.latents), q.time.numpy().astype(np.float64)
    a, s = b.level(t)
    return SimpleNamespace(
        q=q, b=b, x=x, n=noise, t=t, a=a, s=s, w=s * s, noisy=a * x + s * noise, share=share, prior=prior, c=config
    )


def sds(k):
    return k.w * (k.b.guided(k.noisy, k.t, SCALE) - k.n)


def sjc(k):
    """(x - D) / sigma' with sigma' = sigma / alpha and D the denoised y."""
    return (k.x - k.b.x0(k.noisy, k.b.guided(k.noisy, k.t, SCALE), k.t)) / (k.s / k.a)


def csd(k):
    """A quarter into the run, half way up the ramp: factors 1, -1/2, -1/2."""
    e = [k.b.epsilon(branch, k.noisy, k.t) for branch in ("conditional", "unconditional", "negative")]
    return k.w * (e[0] - 0.5 * e[1] - 0.5 * e[2])


def nfsd(k):
    e, u, n = (k.b.epsilon(branch, k.noisy, k.t) for branch in ("conditional", "unconditional", "negative"))
    domain = np.where(k.t.reshape(-1, 1, 1) < 0.2, u, u - n)
    return k.w * (domain + SCALE * (e - u))


def asd(k):
    later = np.minimum(k.t + k.share * 0.1 * (k.t - T_MIN), T_LAST)
    a, s = k.b.level(later)
    return k.w * (k.b.guided(k.noisy, k.t, SCALE) - k.b.epsilon("conditional", a * k.x + s * k.n, later))


def dds(k):
    noisy = k.a * k.b.into(k.prior.encode(k.q.source)) + k.s * k.n
    present = k.b.guided(noisy, k.t, SCALE, "negative", "unconditional")
    return k.w * (k.b.guided(k.noisy, k.t, SCALE, "conditional", "unconditional") - present)


def x0(k):
    """MVDream: half of the guided picture has the conditional one's deviation, over all views of a scene."""
    guided = k.b.back(k.b.x0(k.noisy, k.b.guided(k.noisy, k.t, SCALE), k.t))
    plain = k.b.back(k.b.x0(k.noisy, k.b.epsilon("conditional", k.noisy, k.t), k.t))
    ratio = [c.std(ddof=1) / g.std(ddof=1) for c, g in zip(plain, guided, strict=True)]
    return k.x - (guided * (0.5 + 0.5 * np.reshape(ratio, (-1, 1, 1)))) @ k.b.turn


def rfds(k):
    """The guided flow less the true one; x_t = alpha x + sigma n, flow = noise - clean."""
    e = k.b.guided(k.noisy, k.t, SCALE)
    return e - k.b.x0(k.noisy, e, k.t) - (k.n - k.x)


def rfds_rev(k):
    e = k.b.epsilon("conditional", k.noisy, k.t)
    flow = e - k.b.x0(k.noisy, e, k.t)
    noise = k.n + (1 - k.s) * (flow + k.x - k.n)
    noisy = k.a * k.x + k.s * noise
    e = k.b.guided(noisy, k.t, SCALE)
    return e - k.b.x0(noisy, e, k.t) - (noise - k.x)


def ism(k):
    """The inversion is a product over its steps; the compared prediction is the one that carries x_s to x_t."""
    before = np.maximum(k.t.astype(np.float32) - np.float32(0.05), np.float32(T_MIN)).astype(np.float64)
    times = [np.full_like(k.t, np.float64(np.float32(T_MIN)))]
    while (times[-1] < before).any():
        times.append(np.minimum(np.float32(times[-1]) + np.float32(0.2), before).astype(np.float64))
    a, s = k.b.level(times[0])
    mean, variance = k.b.mean["unconditional"], k.b.variance["unconditional"]
    at_s = k.b.carried(a * k.x + s * k.n, mean, variance, times)
    at_t = k.b.carried(at_s, mean, variance, [before, k.t])
    return k.w * (k.b.guided(at_t, k.t, SCALE) - k.b.epsilon("unconditional", at_s, before))


def sdi(k):
    """With one covariance, guided prediction is that of the mixed mean, so the inversion is a product again."""
    mix = k.b.mean["negative"] - 6.5 * (k.b.mean["conditional"] - k.b.mean["negative"])
    end = np.minimum(np.float32(k.t) + np.float32(0.1) * np.float32(k.share), np.float32(T_MAX)).astype(np.float64)
    times = [np.full_like(k.t, np.float64(np.float32(T_MIN)))]
    while (times[-1] < end).any():
        times.append(np.minimum(np.float32(times[-1]) + np.float32(0.1), end).astype(np.float64))
    a, s = k.b.level(end)
    found = k.b.carried(k.b.level(times[0])[0] * k.x, mix, k.b.variance["negative"], times)
    noisy = k.a * k.x + k.s * (found - a * k.x) / s
    return k.x - k.b.x0(noisy, k.b.guided(noisy, k.t, SCALE), k.t)


def vsd(k):
    """e_phi is e_c and what the adapter adds to the network's own prediction."""
    return k.w * (k.b.guided(k.noisy, k.t, SCALE) - k.b.epsilon("conditional", k.noisy, k.t) - added(k, PHI))


def bsd(k):
    """The teacher's adapter adds the same to both of its branches, each on its own input."""
    weight = adapter(k.prior, TEACHER)
    both = [shift(k, weight, branch) for branch in ("conditional", "negative")]
    teacher = k.b.guided(k.noisy, k.t, SCALE) + SCALE * both[0] + (1 - SCALE) * both[1]
    return k.w * (teacher - k.b.epsilon("conditional", k.noisy, k.t) - added(k, PHI))


def added(k, name: str) -> np.ndarray:
    return shift(k, adapter(k.prior, name), "conditional")


def shift(k, weight: np.ndarray, branch: str) -> np.ndarray:
    """What `weight` on the network's input changes in the predicted noise: alpha times for v and flow."""
    away = k.b.back(k.noisy) - k.a * k.prior.mean[branch].numpy()
    return (1.0 if k.prior.kind == "epsilon" else k.a) * (away @ weight.T) @ k.b.turn


def adapter(prior: GaussianPrior, name: str) -> np.ndarray:
    layer = prior.network.out
    return (layer.lora_B[name].weight @ layer.lora_A[name].weight).detach().double().numpy()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "hifa"])
def test_gradient_is_the_closed_form(loss: str, kind: str, batch: int) -> None:
    k = asked(loss, kind, batch)
    distiller = make_distiller(k.prior, k.c, k.q.generators)
    speak_up(k.prior)
    found = distiller(k.q).latents.numpy().reshape(k.x.shape)
    wanted = k.b.back(globals()[loss](k)) / (batch * 2 * SIZE)
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def speak_up(prior: GaussianPrior) -> None:
    """Gives adapters something to say: their B is zero at first."""
    for name, layer in getattr(prior.network.out, "lora_B", {}).items():
        torch.nn.init.normal_(layer.weight, std=0.3, generator=torch.Generator().manual_seed(len(name)))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_hifa_has_a_gradient_on_the_images_too(kind: str, batch: int) -> None:
    k = asked("hifa", kind, batch)
    answer = make_distiller(k.prior, k.c, k.q.generators)(k.q)
    latents, images = (x.numpy() for x in (answer.latents, k.prior.encode(answer.images)))
    shown = k.b.back(k.b.x0(k.noisy, k.b.guided(k.noisy, k.t, SCALE), k.t)).clip(0.0, 1.0)
    size = batch * 2 * SIZE
    np.testing.assert_allclose(latents.reshape(k.x.shape), k.b.back(sds(k)) / size, rtol=1e-6, atol=1e-12)
    wanted = 0.48 * k.w * k.a / k.s * (k.b.back(k.x) - shown) / size
    np.testing.assert_allclose(images.reshape(k.x.shape), wanted, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("weighting", ["x0", "sds", "uniform", "fantasia3d", "one_minus_alpha"])
def test_every_weighting(weighting: str) -> None:
    k = asked("sds", "v", 3)
    k.q.config.weighting = weighting
    w = {"x0": k.s / k.a, "sds": k.s**2, "uniform": 1.0, "fantasia3d": k.a * k.s**2, "one_minus_alpha": 1 - k.a}
    found = make_distiller(k.prior, k.c, k.q.generators)(k.q).latents.numpy().reshape(k.x.shape)
    wanted = k.b.back(w[weighting] * sds(k) / k.w) / k.x.size
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-12)


def test_sdi_adds_its_share_of_ddims_variance() -> None:
    """One step of inversion with eta: sigma^2 = eta^2 (1 - abar_s) / (1 - abar_t) (1 - abar_t / abar_s)."""
    k = asked("sdi", "epsilon", 1, inversion_eta=0.3, inversion_stride=1.0)
    end = np.minimum(np.float32(k.t) + np.float32(1.0) * np.float32(k.share), np.float32(T_MAX)).astype(np.float64)
    start = np.full_like(end, np.float64(np.float32(T_MIN)))
    (a0, s0), (a1, s1) = k.b.level(start), k.b.level(end)
    mix = k.b.mean["negative"] - 6.5 * (k.b.mean["conditional"] - k.b.mean["negative"])
    fresh = k.b.into(torch.randn(k.q.latents.shape, generator=generators()["inversion"]))
    deviation = 0.3 * np.sqrt(s0**2 / s1**2 * (1 - a1**2 / a0**2))
    found = k.b.carried(a0 * k.x, mix, k.b.variance["negative"], [start, end]) + deviation * fresh
    noisy = k.a * k.x + k.s * (found - a1 * k.x) / s1
    wanted = k.b.back(k.x - k.b.x0(noisy, k.b.guided(noisy, k.t, SCALE), k.t)) / k.x.size
    gradient = make_distiller(k.prior, k.c, k.q.generators)(k.q).latents.numpy().reshape(k.x.shape)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-12)

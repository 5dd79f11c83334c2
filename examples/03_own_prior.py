"""A prior of your own: `python examples/03_own_prior.py [SETTING ...]`. This one takes every object for a ball."""

import sys

import torch

from nerf2mesh import demo_picture, fit
from nerf2mesh.distill import cosine_level
from nerf2mesh.priors import PriorDefaults, SeesCameras


class BallPrior(PriorDefaults, SeesCameras):
    kind, image_size, has_alpha, radius = "x0", 32, True, 0.6
    network, background = torch.nn.Identity(), torch.full((3,), 0.5)

    def encode(self, images):  # [B, V, h, w, 4] premultiplied RGBA -> latents [B, V, 4, h, w]
        return 2.0 * images.movedim(-1, -3) - 1.0

    def decode(self, latents):
        return 0.5 * (latents.movedim(-3, -1) + 1.0)

    def level(self, t):
        return cosine_level(t.reshape(-1, 1, 1, 1, 1))

    def condition(self, observations):  # the mean color of the given picture
        image = observations.views[0].image
        return (image[..., :3] * image[..., 3:]).sum((0, 1)) / image[..., 3].sum()

    def predict(self, noisy, t, cameras, condition, *, branch="conditional"):  # the clean latents, whatever the noise
        rays = cameras.resized(self.image_size, self.image_size).rays()
        distance = torch.linalg.cross(rays.origins, rays.directions).norm(dim=-1, keepdim=True)  # from center to ray
        opacity = torch.sigmoid((self.radius - distance) * 40.0)
        return self.encode(torch.cat([condition * opacity, opacity], dim=-1))


if __name__ == "__main__":
    fit(demo_picture(), overrides=sys.argv[1:] or ["preset=preview"], prior=BallPrior()).save("outputs/examples/03")

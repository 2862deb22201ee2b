"""felbo's peer in PyTorch: eager, or torch.compile. Needs torch and numpy (Debian: python3-torch)."""

import workload

import numpy
import torch
from torch import nn


def mlp(layers):
    parts = []
    for i, (width_in, width_out) in enumerate(layers):
        parts += [nn.Linear(width_in, width_out)] + ([nn.ReLU()] if i + 1 < len(layers) else [])
    return nn.Sequential(*parts)


class Vae(nn.Module):
    def __init__(self, shape):
        super().__init__()
        encoder, decoder = workload.layers_of(shape)
        self.encoder, self.decoder = mlp(encoder), mlp(decoder)

    def forward(self, x):
        """The negative ELBO, in nats a datum."""
        mu, log_var = self.encoder(x).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        logits = self.decoder(z)
        log_px_given_z = -nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * torch.sum(mu * mu + torch.exp(log_var) - 1 - log_var)
        return (kl - log_px_given_z) / x.shape[0]


def step_of(shape, flags, mode):
    dimensions, _, _, batch = shape
    rows = max(workload.ROWS, batch)
    device = torch.device(flags.device)
    data = torch.from_numpy(workload.data(rows, dimensions)).to(device)
    vae = Vae(shape).to(device)
    loss_of = vae if mode == "eager" else torch.compile(vae, mode=mode)
    adam = torch.optim.Adam(vae.parameters(), lr=workload.LR, **({"fused": True} if flags.device == "cuda" else {}))
    taken, order = 0, None
    in_bf16 = flags.precision == "bf16"

    def run(steps):
        nonlocal taken, order
        for _ in range(steps):
            place = taken % (rows // batch)
            if place == 0:
                order = torch.randperm(rows, device=device)
            taken += 1
            pixels = data[order[place * batch:(place + 1) * batch]].float() / 255
            x = torch.bernoulli(pixels)
            with torch.autocast(flags.device, torch.bfloat16, enabled=in_bf16):
                loss = loss_of(x)
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
        if flags.device == "cuda":
            torch.cuda.synchronize()
        if not numpy.isfinite(loss.item()):
            raise SystemExit("the loss is not finite")

    return run


def main():
    parser = workload.argparse.ArgumentParser(add_help=False)
    parser.add_argument("--compile", choices=["default", "max-autotune"], help="torch.compile in this mode; eager if not given")
    own, rest = parser.parse_known_args()
    workload.sys.argv[1:] = rest
    flags = workload.arguments(__doc__ + " --compile default|max-autotune compiles the model.")
    if own.compile and not hasattr(torch, "compile"):
        raise SystemExit(f"torch.compile is absent from PyTorch {torch.__version__}")
    torch.manual_seed(0)
    torch.set_num_threads(flags.threads)
    torch.backends.cuda.matmul.allow_tf32 = flags.precision == "tf32"
    device = f"cuda:0 ({torch.cuda.get_device_name()})" if flags.device == "cuda" else f"cpu ({flags.threads} threads)"
    mode = own.compile or "eager"
    tool = "PyTorch eager" if mode == "eager" else f"torch.compile {mode}"
    workload.report(tool, torch.__version__, device, flags, lambda shape: step_of(shape, flags, mode))


if __name__ == "__main__":
    main()

"""felbo's peer in JAX: the whole step in one jit, its state donated. Needs jax and numpy (PyPI)."""

import workload


def step_of(shape, flags):
    import jax
    import jax.numpy as jnp

    dimensions, _, latent, batch = shape
    rows = max(workload.ROWS, batch)
    data = jnp.asarray(workload.data(rows, dimensions))
    compute = jnp.bfloat16 if flags.precision == "bf16" else jnp.float32

    def initial(key, layers):
        weights = []
        for width_in, width_out in layers:
            key, own = jax.random.split(key)
            bound = (6 / (width_in + width_out)) ** 0.5
            weights.append((jax.random.uniform(own, (width_in, width_out), minval=-bound, maxval=bound), jnp.zeros(width_out)))
        return weights

    def mlp(weights, h):
        for i, (w, b) in enumerate(weights):
            h = (h.astype(compute) @ w.astype(compute)).astype(jnp.float32) + b
            if i + 1 < len(weights):
                h = jax.nn.relu(h)
        return h

    def loss(parameters, x, key):
        encoder, decoder = parameters
        mu, log_var = jnp.split(mlp(encoder, x), 2, axis=1)
        z = mu + jnp.exp(0.5 * log_var) * jax.random.normal(key, mu.shape)
        logits = mlp(decoder, z)
        log_px_given_z = jnp.sum(x * logits - jax.nn.softplus(logits))
        kl = 0.5 * jnp.sum(mu * mu + jnp.exp(log_var) - 1 - log_var)
        return (kl - log_px_given_z) / x.shape[0]

    # Adam (Kingma and Ba, ICLR 2015), as felbo has it.
    def adam(parameter, gradient, m, v, t):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient * gradient
        correction = workload.LR * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return parameter - correction * m / (jnp.sqrt(v) + 1e-8), m, v

    def step(state, order, place, key):
        parameters, m, v, t = state
        key, for_pixels, for_eps = jax.random.split(key, 3)
        pixels = data[jax.lax.dynamic_slice_in_dim(order, place * batch, batch)].astype(jnp.float32) / 255
        x = (jax.random.uniform(for_pixels, pixels.shape) < pixels).astype(jnp.float32)
        value, gradient = jax.value_and_grad(loss)(parameters, x, for_eps)
        t = t + 1
        flat, tree = jax.tree_util.tree_flatten(parameters)
        moved = [adam(*each, t) for each in zip(flat, *(jax.tree_util.tree_leaves(part) for part in (gradient, m, v)))]
        parameters, m, v = (jax.tree_util.tree_unflatten(tree, part) for part in zip(*moved))
        return (parameters, m, v, t), key, value

    compiled = jax.jit(step, donate_argnums=(0,))
    encoder, decoder = workload.layers_of(shape)
    key = jax.random.PRNGKey(0)
    parameters = (initial(key, encoder), initial(jax.random.PRNGKey(1), decoder))
    zeros = jax.tree_util.tree_map(jnp.zeros_like, parameters)
    state = (parameters, zeros, jax.tree_util.tree_map(jnp.zeros_like, parameters), jnp.float32(0))
    taken, order = 0, None

    def run(steps):
        nonlocal state, key, taken, order
        for _ in range(steps):
            place = taken % (rows // batch)
            if place == 0:
                key, own = jax.random.split(key)
                order = jax.random.permutation(own, rows)
            taken += 1
            state, key, value = compiled(state, order, place, key)
        if not jnp.isfinite(value.block_until_ready()):
            raise SystemExit("the loss is not finite")

    return run


def main():
    flags = workload.arguments(__doc__)
    if flags.device == "cpu":
        # XLA takes one thread for each processor that it may use.
        workload.os.sched_setaffinity(0, sorted(workload.os.sched_getaffinity(0))[:flags.threads])
    workload.os.environ["JAX_PLATFORMS"] = flags.device
    import jax

    if flags.precision == "tf32":
        jax.config.update("jax_default_matmul_precision", "tensorfloat32")
    elif flags.precision == "fp32":
        jax.config.update("jax_default_matmul_precision", "highest")
    device = f"cuda:0 ({jax.devices()[0].device_kind})" if flags.device == "cuda" else f"cpu ({flags.threads} threads)"
    workload.report("JAX jit", jax.__version__, device, flags, lambda shape: step_of(shape, flags))


if __name__ == "__main__":
    main()

"""What other libraries write and take: events of dp_accounting, states of Opacus accountants, plans of JAX Privacy.

Files are data here: classes go by name against a list, and nothing that a file names is imported.
"""

from dpplan import called_modules

called_modules.when_called(
    __name__,
    "What an Opacus accountant loads is\n\n"
    "    from dpplan.interop import opacus_state\n"
    "    opacus_state.write(dpplan.plan.Plan.from_training(1.1, 60000, 256, 60))\n\n"
    "and dp_event and jax_plan beside it write for dp_accounting and JAX Privacy. ",
)

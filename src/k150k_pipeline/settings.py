"""Project settings of Kedro."""

from k150k_pipeline.configuration import ProjectConfigLoader
from k150k_pipeline.hooks import ProjectHooks
from k150k_pipeline.session import ProjectSession

HOOKS = (ProjectHooks(),)
SESSION_CLASS = ProjectSession
# Its statistics hook loads every dataset again, and cannot describe those of this project.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-viz",)
CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # A block in conf/local changes the parameters it names and leaves the others as they are.
    "merge_strategy": {"parameters": "soft"},
}

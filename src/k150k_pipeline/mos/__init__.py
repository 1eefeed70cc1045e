"""From a features table to a judged and exported MOS model; knows nothing of Kedro."""

"""One module per step, in the order of their numbers; a step that is out stays as it is."""

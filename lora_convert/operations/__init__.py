"""Use cases, one a file: ``plan_x`` gives a plan that can be shown, ``x`` plans and applies."""

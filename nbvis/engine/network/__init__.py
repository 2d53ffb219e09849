"""Networks: private copies, layers, activations, and passes that leave the guest's house as it was."""

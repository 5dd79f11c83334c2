"""Whether an adapter gives back single training items: outputs beside what it learnt from."""

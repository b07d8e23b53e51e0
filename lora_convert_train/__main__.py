"""python -m lora_convert_train."""

from lora_convert_train.cli import main

if __name__ == "__main__":
    main()

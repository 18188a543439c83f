//! What an SFU reads of a payload: descriptors, layers and key frames, codec by codec.

//! Processor and scheduler over the ports.

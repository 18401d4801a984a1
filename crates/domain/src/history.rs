//! Where history is brought in from.

use crate::spelled_enum;

spelled_enum! {
    /// Which tool wrote a file.
    HistorySource ("source") {
        /// Chats for fine-tuning by `OpenAI`: messages (SFT), or preferred and not preferred answers (DPO).
        OpenAi = "openai",
        /// Traces, observations and scores of Langfuse.
        Langfuse = "langfuse",
        /// Inferences and feedback of TensorZero.
        TensorZero = "tensorzero",
        /// Records of Argilla, of version 1 or 2.
        Argilla = "argilla",
        /// Rows of TRL: prompt with completion, with chosen and rejected, or with a label (KTO).
        Trl = "trl",
        /// Any table, with a mapping of its columns.
        Table = "table",
    }
}

//! Sparse rows (CSR): the features of many texts, 32-bit values and indices.

/// Rows of sparse features. Within a row the indices rise.
#[derive(Debug, Clone, Default)]
pub struct SparseRows {
    starts: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl SparseRows {
    /// No rows, with room for this many.
    pub fn with_capacity(rows: usize) -> Self {
        let mut starts = Vec::with_capacity(rows + 1);
        starts.push(0);
        Self {
            starts,
            indices: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a feature to the row that is being built.
    pub fn push(&mut self, index: u32, value: f32) {
        self.indices.push(index);
        self.values.push(value);
    }

    /// Ends the row that is being built.
    pub fn end_row(&mut self) {
        self.starts.push(self.indices.len());
    }

    /// Indices and values of one row.
    #[inline(always)]
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let span = self.starts[row]..self.starts[row + 1];
        (&self.indices[span.clone()], &self.values[span])
    }

    /// Sum of squares of one row.
    pub fn squared_norm(&self, row: usize) -> f32 {
        self.row(row).1.iter().map(|value| value * value).sum()
    }

    /// Appends the rows of another matrix with the same columns.
    pub fn append(&mut self, other: &Self) {
        let offset = self.indices.len();
        self.starts
            .extend(other.starts.iter().skip(1).map(|start| start + offset));
        self.indices.extend_from_slice(&other.indices);
        self.values.extend_from_slice(&other.values);
    }
}

//! Markdown tables: a column for each size, and how much more it is for the largest than for the smallest.

/// A table that is growing.
pub struct Table {
    title: String,
    sizes: Vec<u64>,
    rows: Vec<Row>,
}

/// A figure of each size; `None` where it was not measured.
pub struct Row {
    pub name: String,
    pub figures: Vec<Option<f64>>,
    pub decimals: usize,
}

impl Table {
    pub fn new(title: impl Into<String>, sizes: &[u64]) -> Self {
        Self { title: title.into(), sizes: sizes.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, name: impl Into<String>, decimals: usize, figures: Vec<Option<f64>>) {
        self.rows.push(Row { name: name.into(), figures, decimals });
    }

    /// The rows, for pictures.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn print(&self) {
        let width =
            self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(self.title.chars().count());
        let head: String = self.sizes.iter().map(|size| format!(" {:>9} |", power(*size))).collect();
        println!("\n| {:<width$} |{head} ratio |", self.title);
        let line: String = self.sizes.iter().map(|_| " --------: |").collect();
        println!("| {:-<width$} |{line} ----: |", "");
        for row in &self.rows {
            let cells: String =
                row.figures.iter().map(|figure| format!(" {:>9} |", cell(*figure, row.decimals))).collect();
            let measured: Vec<f64> = row.figures.iter().flatten().copied().collect();
            let ratio = match (measured.first(), measured.last()) {
                (Some(first), Some(last)) if measured.len() > 1 && *first > 0.0 => format!("{:.2}", last / first),
                _ => String::new(),
            };
            println!("| {:<width$} |{cells} {ratio:>5} |", row.name);
        }
    }
}

/// A size as it is written: all are powers of ten.
pub fn power(size: u64) -> String {
    if size.is_power_of_ten() { format!("10^{}", size.ilog10()) } else { size.to_string() }
}

trait PowerOfTen {
    fn is_power_of_ten(&self) -> bool;
}

impl PowerOfTen for u64 {
    fn is_power_of_ten(&self) -> bool {
        *self > 0 && 10_u64.pow(self.ilog10()) == *self
    }
}

fn cell(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(String::new, |figure| format!("{figure:.decimals$}"))
}

pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

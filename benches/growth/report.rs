//! Markdown tables: a column for each size, and how much more it is for the largest than for the smallest.

/// A table that is growing.
pub struct Table {
    title: String,
    sizes: Vec<u64>,
    rows: Vec<Row>,
}

/// A name, and for each size what was found.
pub type Line = (String, Vec<(f64, Vec<f64>)>);

/// A figure of each size; `None` where it was not measured.
struct Row {
    name: String,
    figures: Vec<Option<f64>>,
    decimals: usize,
}

impl Table {
    pub fn new(title: impl Into<String>, sizes: &[u64]) -> Self {
        Self { title: title.into(), sizes: sizes.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, name: impl Into<String>, decimals: usize, figures: Vec<Option<f64>>) {
        self.rows.push(Row { name: name.into(), figures, decimals });
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    /// The rows as lines over the sizes, for pictures.
    pub fn lines(&self) -> Vec<Line> {
        let points = |row: &Row| {
            let points = self.sizes.iter().zip(&row.figures);
            points.filter_map(|(size, figure)| Some((*size as f64, vec![(*figure)?]))).collect()
        };
        self.rows.iter().map(|row| (row.name.clone(), points(row))).collect()
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
fn power(size: u64) -> String {
    format!("10^{}", size.ilog10())
}

fn cell(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(String::new, |figure| format!("{figure:.decimals$}"))
}

pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

//! The picture: a bar for each row of the table, as long as ipcq is faster or slower, on a logarithmic scale.

use crate::report::Row;
use std::fmt::Write;

const WIDTH: f64 = 1120.0;
/// Where bars may begin, and where they end at the latest: what is beside them is text.
const LEFT: f64 = 560.0;
const RIGHT: f64 = 1040.0;
const ROW: f64 = 18.0;
const HEADING: f64 = 34.0;
const TOP: f64 = 92.0;

/// Colours that can be told apart by everybody, for light and for dark backgrounds.
const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; }
  .part { font-size: 13px; font-weight: 600; }
  .dim { fill: #59636e; }
  .page { fill: #ffffff; }
  .line { stroke: #d1d9e0; }
  .one { stroke: #59636e; }
  .faster { fill: #0969da; }
  .slower { fill: #bc4c00; }
  .bar { stroke: #1f2328; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .dim { fill: #9198a1; }
    .page { fill: #0d1117; }
    .line { stroke: #3d444d; }
    .one { stroke: #9198a1; }
    .faster { fill: #4493f8; }
    .slower { fill: #db6d28; }
    .bar { stroke: #f0f6fc; }
  }
";

/// Draws the rows, which are in the order of their parts, as an SVG.
pub(crate) fn draw(rows: &[Row], machine: &str) -> String {
    let (least, most) = decades(rows);
    // What costs nothing ends where the scale does.
    let place = |ratio: f64| LEFT + ((-ratio.log10()).min(most) - least) / (most - least) * (RIGHT - LEFT);
    let mut body = String::new();
    let mut y = TOP;
    let mut part = "";
    for row in rows {
        if row.part != part {
            y += HEADING;
            text(&mut body, 16.0, y - 8.0, "part", "start", &row.part);
        }
        part = &row.part;
        draw_row(&mut body, row, y, &place);
        y += ROW;
    }
    let height = y + 32.0;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
         <style>{STYLE}</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    text(&mut picture, 16.0, 28.0, "title", "start", "How many times as fast, or as small, ipcq is");
    text(&mut picture, 16.0, 48.0, "dim", "start", machine);
    let legend = "blue: ipcq is faster; orange: it is slower; a mark across: what we want, ✓ reached, ✗ missed";
    text(&mut picture, 16.0, 66.0, "dim", "start", legend);
    for decade in least as i32..=most as i32 {
        let x = place(10_f64.powi(-decade));
        let class = if decade == 0 { "one" } else { "line" };
        line(&mut picture, class, x, TOP, y + 8.0);
        for y in [TOP - 6.0, y + 24.0] {
            text(&mut picture, x, y, "dim", "middle", &format!("{}×", 10_f64.powi(decade)));
        }
    }
    picture + &body + "</svg>\n"
}

/// The powers of ten between which all rows are.
fn decades(rows: &[Row]) -> (f64, f64) {
    let logarithms = || rows.iter().map(|row| -row.ratio.log10()).filter(|logarithm| logarithm.is_finite());
    (logarithms().fold(-1.0, f64::min).floor(), logarithms().fold(1.0, f64::max).ceil())
}

fn draw_row(picture: &mut String, row: &Row, y: f64, place: &impl Fn(f64) -> f64) {
    let (one, end) = (place(1.0), place(row.ratio));
    let middle = y + ROW / 2.0 + 4.0;
    text(picture, 28.0, middle, "", "start", &row.what);
    text(picture, LEFT - 12.0, middle, "dim", "end", &row.other);
    let class = if row.ratio <= 1.0 { "faster" } else { "slower" };
    let (x, width) = (one.min(end), (end - one).abs().max(1.0));
    let _ = writeln!(
        picture,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{}\"/>",
        y + 3.0,
        ROW - 6.0
    );
    let mut right = one.max(end);
    if let Some(bar) = row.bar {
        let bar = place(bar.ratio());
        line(picture, "bar", bar, y + 1.0, y + ROW - 1.0);
        right = right.max(bar);
    }
    let mark = row.holds().map_or("", |holds| if holds { " ✓" } else { " ✗" });
    text(picture, right + 6.0, middle, "", "start", &format!("{}{mark}", row.faster()));
}

fn line(picture: &mut String, class: &str, x: f64, top: f64, bottom: f64) {
    let _ =
        writeln!(picture, "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>");
}

fn text(picture: &mut String, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ =
        writeln!(picture, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

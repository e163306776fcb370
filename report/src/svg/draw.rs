//! SVG text: shapes, words, and the colours of light and dark.
//!
//! plotters has neither tooltips nor classes, and a picture of 1,000 targets would not fit into 0.6
//! MB with an element for each shape. So shapes of one class are one path.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::figures::loss_class;
use crate::svg::WIDTH;

/// A class and its colour.
#[derive(Clone, Copy, Debug)]
pub struct Colour {
    /// The class.
    pub class: &'static str,
    /// What has the colour: `fill` or `stroke`.
    pub property: &'static str,
    /// In light.
    pub light: &'static str,
    /// In dark.
    pub dark: &'static str,
}

const fn colour(class: &'static str, property: &'static str, light: &'static str, dark: &'static str) -> Colour {
    Colour { class, property, light, dark }
}

/// All colours. Those of losses are told apart by the colour-blind too.
pub const COLOURS: [Colour; 24] = [
    colour("bg", "fill", "#ffffff", "#14181d"),
    colour("t1", "fill", "#1b1f23", "#e9ecef"),
    colour("t2", "fill", "#5f6973", "#9aa5b0"),
    colour("t3", "fill", "#1b1f23", "#e9ecef"),
    colour("bad", "fill", "#b2182b", "#ff6b7a"),
    colour("grid", "stroke", "#e6e9ec", "#2a3138"),
    colour("axis", "stroke", "#6a737d", "#717c87"),
    colour("mark", "stroke", "#1b1f23", "#e9ecef"),
    colour("up", "fill", "#4a545e", "#aab4be"),
    colour("s0", "fill", "#dfe3e7", "#2c353e"),
    colour("s1", "fill", "#c0c8cf", "#45515d"),
    colour("s2", "fill", "#95a1ac", "#6d7b88"),
    colour("l0", "fill", "#2166ac", "#4b9bdc"),
    colour("l1", "fill", "#67a9cf", "#a6d3ea"),
    colour("l2", "fill", "#f4a582", "#f7c59f"),
    colour("l3", "fill", "#d6604d", "#ef8a62"),
    colour("l4", "fill", "#b2182b", "#e03246"),
    // The same in words, which need more contrast.
    colour("w1", "fill", "#2a7aab", "#a6d3ea"),
    colour("w2", "fill", "#b35a1f", "#f7c59f"),
    colour("w3", "fill", "#c2452f", "#ef8a62"),
    colour("w4", "fill", "#b2182b", "#ff5b6c"),
    colour("pale", "fill", "#f3d3d7", "#47242b"),
    colour("none", "fill", "#eceef0", "#232a31"),
    colour("thin", "stroke", "#aab4be", "#5b6772"),
];

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// To the right of its place.
    Start,
    /// Around it.
    Middle,
    /// To the left of it.
    End,
}

/// The classes of a loss in words.
pub fn words_of(loss: f64) -> &'static str {
    ["t3", "t3 w1", "t3 w2", "t3 w3", "t3 w4"][loss_class(loss)]
}

/// A picture that is being drawn.
pub struct Canvas {
    height: f64,
    title: String,
    description: String,
    body: String,
    /// The shapes of a group, by class.
    shapes: BTreeMap<String, String>,
}

/// A number with at most one decimal.
fn short(number: f64) -> String {
    let tenths = (number * 10.0).round() as i64;
    let text = format!("{}{}.{}", if tenths < 0 { "-" } else { "" }, tenths.abs() / 10, tenths.abs() % 10);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Text as it stands in XML. What XML does not have is left out.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// Cut to so many characters.
pub fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// About how wide a text is.
pub fn width_of(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.6
}

impl Canvas {
    /// An empty one.
    pub fn new(height: f64) -> Self {
        Canvas {
            height,
            title: String::new(),
            description: String::new(),
            body: String::new(),
            shapes: BTreeMap::new(),
        }
    }

    /// What it is called where it is not seen.
    pub fn title(&mut self, title: &str, description: &str) {
        (self.title, self.description) = (title.to_owned(), description.to_owned());
    }

    /// A text on its base line.
    pub fn text(&mut self, x: f64, y: f64, class: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let _ = writeln!(
            self.body,
            "<text x=\"{}\" y=\"{}\" class=\"{class}\"{anchor}>{}</text>",
            short(x),
            short(y),
            escape(text)
        );
    }

    /// A rectangle by itself.
    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{class}\"/>",
            short(x),
            short(y),
            short(width),
            short(height)
        );
    }

    /// A straight line.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        let (x1, y1, x2, y2) = (short(x1), short(y1), short(x2), short(y2));
        let _ = writeln!(self.body, "<path d=\"M{x1} {y1}L{x2} {y2}\" class=\"{class}\"/>");
    }

    /// What is said of this area when the pointer rests there.
    pub fn tip(&mut self, x: f64, y: f64, width: f64, height: f64, text: &str) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"tip\"><title>{}</title></rect>",
            short(x),
            short(y),
            short(width),
            short(height),
            escape(text)
        );
    }

    /// A rectangle of the group.
    pub fn block(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str) {
        let shapes = self.shapes.entry(class.to_owned()).or_default();
        let _ = write!(shapes, "M{} {}h{}v{}h{}z", short(x), short(y), short(width), short(height), short(-width));
    }

    /// A mark of the group for what is beyond the end of an axis: a triangle that points up.
    pub fn beyond(&mut self, x: f64, y: f64) {
        let shapes = self.shapes.entry("up".to_owned()).or_default();
        let _ = write!(shapes, "M{} {}l3 -5l3 5z", short(x - 3.0), short(y));
    }

    /// Draws the group, its classes in this order from below.
    pub fn flush(&mut self, classes: &[&str]) {
        let shapes = std::mem::take(&mut self.shapes);
        debug_assert!(shapes.keys().all(|class| classes.contains(&class.as_str())), "a class is not drawn");
        for class in classes {
            if let Some(path) = shapes.get(*class) {
                let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{path}\"/>");
            }
        }
    }

    /// The picture as a part of a page, which has the colours.
    pub fn element(&self) -> String {
        let (height, title, description) = (short(self.height), escape(&self.title), escape(&self.description));
        format!(
            "<svg class=\"xp\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             aria-label=\"{title}: {description}\">\n{}</svg>\n",
            self.body
        )
    }

    /// The picture as a file.
    pub fn file(&self) -> String {
        let (height, title, description) = (short(self.height), escape(&self.title), escape(&self.description));
        format!(
            "<svg class=\"xp\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{title}</title>\n<desc>{description}</desc>\n\
             <style>\n{}</style>\n<rect width=\"{WIDTH}\" height=\"{height}\" class=\"bg\"/>\n{}</svg>\n",
            style(),
            self.body
        )
    }
}

/// The rules for all pictures. Viewers that know no media queries show the light ones.
pub fn style() -> String {
    let mut rules = "\
.xp text{font-family:'DejaVu Sans',Verdana,Helvetica,Arial,sans-serif;font-size:11px}
.xp .t1{font-size:16px;font-weight:bold}
.xp .t3{font-weight:bold}
.xp .tiny{font-size:9px}
.xp .onred{fill:#fff}
.xp .tip{fill-opacity:0}
.xp .tip:hover{fill-opacity:.12}
.xp path{fill-rule:nonzero}
.xp .grid,.xp .axis,.xp .mark,.xp .thin{fill:none;stroke-width:1}
"
    .to_owned();
    let colours = |rules: &mut String, of: fn(&Colour) -> &'static str| {
        for colour in &COLOURS {
            let _ = writeln!(rules, ".xp .{}{{{}:{}}}", colour.class, colour.property, of(colour));
        }
    };
    colours(&mut rules, |colour| colour.light);
    rules.push_str("@media(prefers-color-scheme:dark){\n.xp .tip{fill:#fff}\n");
    colours(&mut rules, |colour| colour.dark);
    rules.push_str("}\n");
    rules
}

//! preview
#[cfg(test)]
mod preview {
    use super::super::{charts::*, page::*};
    use maud::html;
    #[test]
    fn preview() {
        let bins: Vec<Bin> = (0..60).map(|i| { let x = i as f64 * 0.25; let n = (1e5 * (x + 0.2) * (-x / 2.5f64).exp()) as u64; Bin { from: x, to: x + 0.25, tokens: n, kept: Some((n as f64 * (1.0 / (1.0 + ((x - 6.0) * 2.0).exp()))) as u64) } }).collect();
        let t = [Threshold { label: "kept by loss up to".into(), low: 4.784, high: 8.436 }];
        let t2 = [Threshold { label: "by entropy".into(), low: 3.9, high: 3.9 }];
        let h = Histogram { score: "loss", bins: &bins, outside: (0, 12), thresholds: &t }.chart().unwrap();
        let h2 = Histogram { score: "entropy", bins: &bins[..30], outside: (0, 0), thresholds: &t2 }.chart().unwrap();
        let n = 60usize;
        let cells: Vec<Cell> = (0..n * n).map(|k| { let (x, y) = ((k % n) as f64 / 60.0 * 15.0, (k / n) as f64 / 60.0 * 8.0); let v = 3e4 * (-(x - y * 1.3).powi(2) / 8.0).exp() * (-y / 3.0f64).exp(); Cell { tokens: v as u64, kept: if x < 5.5 && y < 3.9 { v as u64 } else { 0 } } }).collect();
        let p = Heat { x: ("loss", 0.0, 15.0), y: ("entropy", 0.0, 8.0), cells: &cells, columns: n, outside: 3, mask: Some("mask_intersection"), thresholds: (&[Threshold { label: "loss 4.78 to 8.44".into(), low: 4.784, high: 8.436 }], &[Threshold { label: "entropy 3.900".into(), low: 3.9, high: 3.9 }]) }.chart().unwrap();
        let places: Vec<(f64, String)> = (0..10).map(|i| ((1 << i) as f64, format!("{}", 1 << i))).collect();
        let curves = Curves { x: ("position in the document", true), places: &places, y: "share kept", range: (0.0, 1.0), curves: &[Curve { name: "loss".into(), values: (0..10).map(|i| Some(0.4 + 0.04 * i as f64)).collect() }, Curve { name: "entropy".into(), values: (0..10).map(|i| Some(0.5 + 0.025 * i as f64)).collect() }, Curve { name: "intersection".into(), values: (0..10).map(|i| Some(0.3 + 0.03 * i as f64)).collect() }] }.chart().unwrap();
        let bars: Vec<Bar> = ["math/stackexchange-math", "web/cc-samples", "legal/site-policy/with/a/very/long/name", "z"].iter().enumerate().map(|(i, n)| Bar { name: n.to_string(), tokens: 1000, kept: 900 - 300 * i as u64, more: vec![] }).collect();
        let b = Bars { of: "source", bars: &bars, mean: 0.51, more: &[] }.chart().unwrap();
        let mut page = Page::new("Masks of x".into(), "made by".into());
        page.notice("unfinished");
        let c = html! { "Caption" };
        page.section("charts", "Charts", html! { div.figures { (figure("Loss", &h, &c)) (figure("Entropy", &h2, &c)) (figure("Plane", &p, &c)) (figure("Position", &curves, &c)) (figure("Source", &b, &c)) } });
        std::fs::write("/tmp/preview.html", page.html()).unwrap();
    }
}

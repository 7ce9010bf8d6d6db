//! Draws what the system rule makes of an overload, in the simulation: `cargo overload [FILE]`.
//!
//! Prints the figures as well. The plot goes to the file, by default the one that the documentation shows.

use std::{env, error::Error, ops::Range, process::ExitCode, time::Duration};

use plotters::prelude::*;
use sentinel_core::{Rules, SystemRule};
use sentinel_examples::overload::{Scenario, Service};

const DEADLINE: Duration = Duration::from_millis(200);
const LOADS: [f64; 12] = [0.25, 0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0];
const VARIATIONS: [f64; 3] = [0.0, 0.5, 1.0];
const SECONDS: Range<f64> = 5.0..60.0;

/// Goodput in parts of the capacity by load, for one variation.
struct Curve {
    variation: f64,
    protected: bool,
    points: Vec<(f64, f64)>,
}

fn main() -> ExitCode {
    let file = env::args().nth(1).unwrap_or_else(|| "sentinel-core/docs/overload.svg".to_owned());
    match draw(&file, &measure()) {
        Ok(()) => {
            println!("drawn to {file}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot draw to {file}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Vec<Curve> {
    println!(
        "load  variation  rule  goodput  p99 (in parts of the capacity; of the one at half load without the rule)"
    );
    let mut curves = Vec::new();
    for variation in VARIATIONS {
        let service = Service::new(variation);
        let half = Scenario::new(service, &|_| 0.5).run(Rules::new()).p99(SECONDS);
        for protected in [false, true] {
            let point = |load| {
                let rules = if protected { Rules::new().system([SystemRule::cpu_usage(0.8)]) } else { Rules::new() };
                let record = Scenario::new(service, &|_| load).run(rules);
                let goodput = record.goodput(SECONDS, DEADLINE) / service.capacity();
                let p99 = record.p99(SECONDS).as_secs_f64() / half.as_secs_f64();
                let with = if protected { "with" } else { "without" };
                println!("{load:>5} {variation:>9}  {with:<7} {goodput:>7.3} {p99:>6.1}");
                (load, goodput)
            };
            curves.push(Curve { variation, protected, points: LOADS.map(point).to_vec() });
        }
    }
    curves
}

fn draw(file: &str, curves: &[Curve]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(file, (720, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let (first, last) = (LOADS[0], LOADS[LOADS.len() - 1]);
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d((first..last).log_scale(), 0.0..1.1)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("offered load, in parts of the capacity")
        .y_desc("answered in time, in parts of the capacity")
        .x_labels(6)
        .y_labels(6)
        .draw()?;
    for curve in curves {
        let color = match (curve.protected, curve.variation) {
            (false, _) => RGBColor(170, 170, 170),
            (true, 0.0) => RGBColor(0, 114, 178),
            (true, 0.5) => RGBColor(0, 158, 115),
            (true, _) => RGBColor(213, 94, 0),
        };
        let label = match curve.protected {
            true => format!("with the rule, variation {}", curve.variation),
            false => format!("without, variation {}", curve.variation),
        };
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), color.stroke_width(2)))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::MiddleRight).border_style(BLACK.mix(0.3)).draw()?;
    area.present()?;
    Ok(())
}

//! A sine that is the same on every machine: the system's own may differ in its last bit from one C library to the next.

/// Returns sin(2π · `turns`), to within 10⁻¹⁵.
pub(super) fn sine(turns: f64) -> f64 {
    // To −¼ … ¼ turn: whole turns off, then the sine's symmetry about its crest.
    let turns = turns - turns.round();
    let folded = if turns > 0.25 {
        0.5 - turns
    } else if turns < -0.25 {
        -0.5 - turns
    } else {
        turns
    };
    let x = folded * std::f64::consts::TAU;
    // Taylor to x²³/23!, which is below 2·10⁻¹⁸ at a quarter turn.
    let square = x * x;
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    for _ in 0..11 {
        term *= -square / ((n + 1.0) * (n + 2.0));
        sum += term;
        n += 2.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sine() {
        for step in -4000..4000 {
            let turns = f64::from(step) / 1000.0;

            assert!((sine(turns) - (turns * std::f64::consts::TAU).sin()).abs() < 1e-13, "{turns}");
        }
    }
}

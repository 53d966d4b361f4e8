//! "Did you mean": the known word that is nearest to the one that was written.

/// Returns the known word that a typing mistake or a shortening makes of the written one, if one is near enough.
pub(super) fn similar<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let limit = (written.chars().count() / 3).clamp(1, 3);
    let written = plain(written);
    known
        .into_iter()
        .map(|word| (distance(&written, &plain(word)), word))
        .filter(|&(distance, word)| distance <= limit || begins_alike(&written, &plain(word)))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, word)| word)
}

/// Case and the hyphen do not matter to whoever mistypes.
fn plain(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

fn begins_alike(one: &[char], other: &[char]) -> bool {
    one.iter().zip(other).take_while(|(a, b)| a == b).count() >= 5
}

/// How many letters must be added, left out, replaced or swapped with their neighbour (optimal string alignment).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut left = None;
    for (row, &a) in from.iter().enumerate() {
        let mut now = vec![row + 1];
        let mut above_left = None;
        for (column, &b) in to.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, column) + usize::from(a != b);
            let mut best = replaced.min(at(&last, column + 1) + 1).min(at(&now, column) + 1);
            if column > 0 && left == Some(b) && above_left == Some(a) {
                best = best.min(at(&before, column - 1) + 1);
            }
            now.push(best);
            above_left = Some(b);
        }
        left = Some(a);
        before = std::mem::replace(&mut last, now);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_is_seen_through() {
        let keys = ["address", "ports", "threads", "answer_s", "announcement", "called_prefix", "calling_prefix"];
        let meant = |written| similar(written, keys);

        assert_eq!(meant("prots"), Some("ports"));
        assert_eq!(meant("adress"), Some("address"));
        assert_eq!(meant("Ports"), Some("ports"));
        assert_eq!(meant("answer_within_s"), Some("answer_s"));
        assert_eq!(meant("announcements"), Some("announcement"));
        assert_eq!(meant("callingprefix"), Some("calling_prefix"));
        assert_eq!(meant("colour"), None);
        assert_eq!(meant(""), None);
        assert_eq!(similar("optin", ["announce", "opt-out", "opt-in"]), Some("opt-in"));
    }

    #[test]
    fn the_distance_counts_a_swap_once() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();

        assert_eq!(distance(&chars("prots"), &chars("ports")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&[], &chars("abc")), 3);
        assert_eq!(distance(&chars("abc"), &[]), 3);
    }
}

//go:build race

package sim

// share is which part of a world's seeds Test runs: with the race detector a run takes five to
// ten times as long.
const share = 5

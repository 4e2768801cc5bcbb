//go:build race

package nth

const raceEnabled = true

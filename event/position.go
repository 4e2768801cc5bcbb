package event

import "time"

// Position is a place in a stream: before, between or after records.
type Position struct {
	Kind PositionKind
	Time time.Time // of AtTime
	ID   string    // of AfterPosition
}

// PositionKind says what a Position is made of.
type PositionKind int

// The kinds. The zero value is the end of the stream.
const (
	AtEnd PositionKind = iota
	AtBeginning
	AtTime
	AfterPosition
	afterRecord // resolved by the front; drivers never see it
)

// Now is the end of the stream: only what is published from now on.
func Now() Position { return Position{} }

// Beginning is before the oldest record that is kept.
func Beginning() Position { return Position{Kind: AtBeginning} }

// At is before the first record that was published at t or later, by the
// backend's clock.
func At(t time.Time) Position { return Position{Kind: AtTime, Time: t} }

// After is after the record that has this Position: where to go on.
func After(position string) Position { return Position{Kind: AfterPosition, ID: position} }

// AfterID is after the record with this ID, which is looked for in the history.
func AfterID(id string) Position { return Position{Kind: afterRecord, ID: id} }

func (p Position) check() error {
	switch p.Kind {
	case AtEnd, AtBeginning:
	case AtTime:
		if p.Time.IsZero() {
			return invalidf("position at the zero time")
		}
	case AfterPosition, afterRecord:
		if p.ID == "" {
			return invalidf("position after an empty id")
		}
		return checkText("position", p.ID)
	default:
		return invalidf("unknown position")
	}
	return nil
}

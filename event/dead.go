package event

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"

	"github.com/micro/go-platform/internal/fault"
)

// Metadata of a dead letter, which tells about the record that it stands for.
const (
	DeadID       = "dead-id"
	DeadType     = "dead-type"
	DeadGroup    = "dead-group"
	DeadError    = "dead-error"
	DeadAttempts = "dead-attempts"
	DeadPosition = "dead-position"
	DeadParent   = "dead-parent"
	DeadCut      = "dead-cut" // set if the backend takes no dead letter with the record's Data and metadata; the record is at DeadPosition
)

// bury publishes a dead letter, or drops the record where there is none.
func (s *subscription) bury(t *task) error {
	of := t.d // a copy: record changes it, and extend reads it meanwhile
	r, attempt := of.record(), t.attempt()
	if s.o.dead == "" {
		s.dropped.Add(1)
		s.log.Error("event: record dropped", "record", r.ID, "type", r.Type, "attempts", attempt, "error", t.final)
		return nil
	}
	d := deadLetter(r, s.o, t.final, attempt)
	publish := func() error { return s.f.publish(context.Background(), []*Record{d}, false) }
	err := fault.Guard(publish)         // of the user's are WithPropagation's function, and a driver
	if errors.Is(err, fault.TooLarge) { // with what is said about it, it no longer fits
		d.cut()
		err = fault.Guard(publish)
	}
	if err != nil {
		return err
	}
	s.dead.Add(1)
	s.log.Error("event: dead letter", "group", s.o.group, "record", r.ID, "type", r.Type, "attempts", attempt, "error", t.final)
	return nil
}

func deadLetter(r *Record, o *subscribeOptions, why error, attempts int) *Record {
	d := r.Clone()
	d.ID, d.Type, d.ParentID, d.Position = NewID(), o.dead, r.ID, ""
	if d.Metadata == nil {
		d.Metadata = map[string]string{}
	}
	d.Metadata[DeadID], d.Metadata[DeadType], d.Metadata[DeadGroup] = r.ID, r.Type, o.group
	d.Metadata[DeadError], d.Metadata[DeadAttempts], d.Metadata[DeadPosition] = cutText(why.Error()), strconv.Itoa(attempts), r.Position
	if r.ParentID != "" {
		d.Metadata[DeadParent] = r.ParentID
	}
	return d
}

// cutText is valid UTF-8 of 1024 bytes at the most.
func cutText(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) > 1024 {
		s = strings.ToValidUTF8(s[:1024], "")
	}
	return s
}

// cut leaves of a dead letter what tells which record it stands for.
func (r *Record) cut() {
	maps.DeleteFunc(r.Metadata, func(k, _ string) bool { return !strings.HasPrefix(k, "dead-") })
	r.Metadata[DeadCut] = strconv.Itoa(len(r.Data))
	r.Data = nil
}

// Original returns the record that a dead letter stands for, ready to be
// published again under its own ID, and false if r is no dead letter of a
// record, or one that was cut: its record is in the stream at DeadPosition.
func Original(r *Record) (*Record, bool) {
	if r.Metadata[DeadType] == "" || r.Metadata[DeadCut] != "" {
		return nil, false
	}
	o := r.Clone()
	o.ID, o.Type, o.Position = r.Metadata[DeadID], r.Metadata[DeadType], ""
	o.ParentID = r.Metadata[DeadParent]
	maps.DeleteFunc(o.Metadata, func(k, _ string) bool { return strings.HasPrefix(k, "dead-") })
	return o, true
}

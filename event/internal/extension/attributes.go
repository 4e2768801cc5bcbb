package extension

import (
	"time"

	"github.com/micro/go-platform/event"
)

// Attributes puts what a message says of a CloudEvent into a record.
type Attributes struct {
	Record *event.Record

	when, together string
}

// Set takes an attribute, but for specversion and datacontenttype, which each
// binding keeps in its own way.
func (a *Attributes) Set(name, value string) {
	switch r := a.Record; name {
	case "id":
		r.ID = value
	case "type":
		r.Type = value
	case "source":
		r.Source = value
	case "time":
		a.when = value
	case "subject":
		r.Subject = value
	case "rootid":
		r.RootID = value
	case "parentid":
		r.ParentID = value
	case "metadata":
		a.together = value
	default:
		a.Entry(name, value)
	}
}

// Entry takes an entry of the metadata, whatever its name.
func (a *Attributes) Entry(name, value string) {
	if a.Record.Metadata == nil {
		a.Record.Metadata = make(map[string]string)
	}
	a.Record.Metadata[name] = value
}

// Complete reports whether the attributes that CloudEvents requires are there.
func (a *Attributes) Complete() bool {
	return a.Record.ID != "" && a.Record.Type != "" && a.Record.Source != ""
}

// End takes what can be read only when all attributes are set.
func (a *Attributes) End() error {
	if a.when != "" {
		t, err := time.Parse(time.RFC3339Nano, a.when)
		if err != nil {
			return err
		}
		a.Record.Time = t.UTC()
	}
	a.Record.Metadata = Read(a.Record.Metadata, a.together)
	return nil
}

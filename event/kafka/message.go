package kafka

import (
	"bytes"
	"errors"
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/cloudevents"
	"github.com/micro/go-platform/event/internal/extension"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers of the Kafka Protocol Binding for CloudEvents 1.0.2 in binary mode: the
// attributes with a prefix, and the content type.
const (
	prefix      = "ce_"
	contentType = "content-type"
)

// noSource is a header of our own, outside of the binding: CloudEvents wants a
// source, and the record has none.
const noSource = "go-platform-no-source"

// message writes a record in binary mode.
func message(r *event.Record, key string) *kgo.Record {
	n := 7
	m := &kgo.Record{Key: []byte(key), Value: r.Data, Headers: make([]kgo.RecordHeader, 0, n+len(r.Metadata))}
	set := func(name, value string) {
		m.Headers = append(m.Headers, kgo.RecordHeader{Key: prefix + name, Value: []byte(value)})
	}
	set("specversion", "1.0")
	set("id", r.ID)
	set("type", r.Type)
	if r.Source == "" {
		set("source", "/")
		m.Headers = append(m.Headers, kgo.RecordHeader{Key: noSource})
	} else {
		set("source", r.Source)
	}
	m.Headers = append(m.Headers, kgo.RecordHeader{Key: prefix + "time", Value: r.Time.UTC().AppendFormat(make([]byte, 0, len(time.RFC3339Nano)), time.RFC3339Nano)})
	if r.Subject != "" {
		set("subject", r.Subject)
	}
	if r.RootID != r.ID {
		set("rootid", r.RootID)
	}
	if r.ParentID != "" {
		set("parentid", r.ParentID)
	}
	extension.Write(r.Metadata, set)
	if r.ContentType != "" {
		m.Headers = append(m.Headers, kgo.RecordHeader{Key: contentType, Value: []byte(r.ContentType)})
	}
	if m.Value == nil {
		m.Value = []byte{} // null would be a tombstone to a compacted copy of the topic
	}
	return m
}

var (
	errNoEvent = errors.New("the message is no CloudEvent: no header ce_specversion, and its content type is not application/cloudevents+json")
	errVersion = errors.New("the message is no CloudEvent 1.0: another ce_specversion")
	errMissing = errors.New("the message is no CloudEvent: it lacks ce_id, ce_source or ce_type")
)

// record reads a message in binary or structured mode. With an error, the
// record has what there is as Data.
func record(m *kgo.Record, position string) (*event.Record, error) {
	r := &event.Record{Position: position}
	err := read(m, r)
	if err != nil {
		return &event.Record{Position: position, Data: m.Value}, err
	}
	if r.RootID == "" {
		r.RootID = r.ID
	}
	if r.Time.IsZero() {
		r.Time = m.Timestamp.UTC()
	}
	return r, nil
}

func read(m *kgo.Record, r *event.Record) error {
	version, when, together, sourceless := "", "", "", false
	for i := range m.Headers {
		h := &m.Headers[i]
		name, ok := strings.CutPrefix(h.Key, prefix)
		if !ok {
			switch {
			case h.Key == noSource:
				sourceless = true
			case strings.EqualFold(h.Key, contentType):
				r.ContentType = string(h.Value)
			}
			continue
		}
		switch name {
		case "specversion":
			version = string(h.Value)
		case "id":
			r.ID = string(h.Value)
		case "type":
			r.Type = string(h.Value)
		case "source":
			r.Source = string(h.Value)
		case "time":
			when = string(h.Value)
		case "subject":
			r.Subject = string(h.Value)
		case "rootid":
			r.RootID = string(h.Value)
		case "parentid":
			r.ParentID = string(h.Value)
		case "metadata":
			together = string(h.Value)
		default:
			if r.Metadata == nil {
				r.Metadata = make(map[string]string)
			}
			r.Metadata[name] = string(h.Value)
		}
	}
	if version == "" {
		return structured(m, r)
	}
	if version != "1.0" {
		return errVersion
	}
	if r.ID == "" || r.Type == "" || r.Source == "" {
		return errMissing
	}
	if sourceless && r.Source == "/" {
		r.Source = ""
	}
	if when != "" {
		t, err := time.Parse(time.RFC3339Nano, when)
		if err != nil {
			return err
		}
		r.Time = t.UTC()
	}
	r.Metadata = extension.Read(r.Metadata, together)
	if len(m.Value) > 0 {
		r.Data = slices.Clip(m.Value)
	}
	return nil
}

// structured reads an event that is all in the value.
func structured(m *kgo.Record, r *event.Record) error {
	if t, _, _ := mime.ParseMediaType(r.ContentType); t != cloudevents.TypeJSON {
		return errNoEvent
	}
	e, err := cloudevents.Unmarshal(bytes.Clone(m.Value))
	if err != nil {
		return err
	}
	e.Position = r.Position
	*r = *e
	return nil
}

// size is no less than what a message takes in a batch of its own.
func size(m *kgo.Record) int {
	n := 128 + len(m.Key) + len(m.Value) // the batch's header, and lengths
	for i := range m.Headers {
		n += 10 + len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	return n
}

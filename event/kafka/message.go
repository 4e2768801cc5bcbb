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

// message writes a record in binary mode. The headers' values share one piece of
// memory.
func message(r *event.Record, key string) *kgo.Record {
	room := len(key) + len(r.ID) + len(r.Type) + len(r.Source) + len(r.Subject) + len(r.RootID) + len(r.ParentID) + len(r.ContentType) + 64
	for k, v := range r.Metadata {
		room += len(k) + 2*len(v)
	}
	w := writer{buf: make([]byte, 0, room), headers: make([]kgo.RecordHeader, 0, 9+len(r.Metadata))}
	w.set("ce_specversion", "1.0")
	w.set("ce_id", r.ID)
	w.set("ce_type", r.Type)
	if r.Source == "" {
		w.set("ce_source", "/")
		w.headers = append(w.headers, kgo.RecordHeader{Key: noSource})
	} else {
		w.set("ce_source", r.Source)
	}
	n := len(w.buf)
	w.buf = r.Time.UTC().AppendFormat(w.buf, time.RFC3339Nano)
	w.headers = append(w.headers, kgo.RecordHeader{Key: "ce_time", Value: w.buf[n:len(w.buf):len(w.buf)]})
	if r.Subject != "" {
		w.set("ce_subject", r.Subject)
	}
	if r.RootID != r.ID {
		w.set("ce_rootid", r.RootID)
	}
	if r.ParentID != "" {
		w.set("ce_parentid", r.ParentID)
	}
	extension.Write(r.Metadata, func(name, value string) { w.set(prefix+name, value) })
	if r.ContentType != "" {
		w.set(contentType, r.ContentType)
	}
	// The client may send it later, when Data is the caller's again. Empty is not null, which
	// would be a tombstone to a compacted copy of the topic.
	value := append([]byte{}, r.Data...)
	return &kgo.Record{Key: w.add(key), Value: value, Headers: w.headers}
}

type writer struct {
	buf     []byte
	headers []kgo.RecordHeader
}

func (w *writer) add(value string) []byte {
	n := len(w.buf)
	w.buf = append(w.buf, value...)
	return w.buf[n:len(w.buf):len(w.buf)]
}

func (w *writer) set(name, value string) {
	w.headers = append(w.headers, kgo.RecordHeader{Key: name, Value: w.add(value)})
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
	version, sourceless := "", false
	a := extension.Attributes{Record: r}
	n := 0
	for i := range m.Headers {
		n += len(m.Headers[i].Value)
	}
	var all strings.Builder // of which the values are parts
	all.Grow(n)
	for i := range m.Headers {
		all.Write(m.Headers[i].Value)
	}
	values := all.String()
	for i := range m.Headers {
		h := &m.Headers[i]
		value := values[:len(h.Value)]
		values = values[len(h.Value):]
		name, ok := strings.CutPrefix(h.Key, prefix)
		if !ok {
			switch {
			case h.Key == noSource:
				sourceless = true
			case strings.EqualFold(h.Key, contentType):
				r.ContentType = value
			}
			continue
		}
		if name == "specversion" {
			version = value
			continue
		}
		a.Set(name, value)
	}
	if version == "" {
		return structured(m, r)
	}
	if version != "1.0" {
		return errVersion
	}
	if !a.Complete() {
		return errMissing
	}
	if sourceless && r.Source == "/" {
		r.Source = ""
	}
	if err := a.End(); err != nil {
		return err
	}
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

// Package cloudevents turns records of package event into CloudEvents 1.0 and
// back: the JSON format, and HTTP in structured, binary and batched mode.
//
//	body, err := cloudevents.Marshal(r)
//	http.Handle("/events", cloudevents.Handler(stream))
//
// # Semantics
//
// ID, Type, Source, Time, Subject and ContentType are the attributes id, type,
// source, time, subject and datacontenttype. RootID and ParentID are the
// extensions rootid and parentid. A metadata entry whose key is a name that
// CloudEvents allows (a to z and 0 to 9) is an extension, and so traceparent and
// baggage travel; the others are together in the extension metadata, as JSON. A
// record without a Source has the source "/".
//
// Handler takes events from strangers, who may not set what this system's own
// records say about each other: rootid, parentid, baggage, the labels of package
// wrapper and the metadata of dead letters are dropped, and an event of a type
// below "dead" is refused. TrustedHandler takes all.
//
// # Errors
//
// What is no CloudEvent is event.ErrInvalid.
package cloudevents

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/extension"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/strictjson"
)

func invalidf(format string, args ...any) error {
	return fault.New(fault.Invalid, "event/cloudevents", "read", "", format, args...)
}

// attributesOf returns all attributes as text, without the data.
func attributesOf(r *event.Record) map[string]string {
	a := map[string]string{"specversion": "1.0", "id": r.ID, "type": r.Type, "source": r.Source}
	if r.Source == "" {
		a["source"] = "/"
	}
	if !r.Time.IsZero() {
		a["time"] = r.Time.UTC().Format(time.RFC3339Nano)
	}
	for k, v := range map[string]string{"subject": r.Subject, "datacontenttype": r.ContentType, "rootid": r.RootID, "parentid": r.ParentID} {
		if v != "" {
			a[k] = v
		}
	}
	extension.Write(r.Metadata, func(name, value string) { a[name] = value })
	return a
}

// recordOf is the reverse of attributesOf. It fails for what is no CloudEvent.
func recordOf(a map[string]string) (*event.Record, error) {
	if v := a["specversion"]; v != "1.0" {
		return nil, invalidf("specversion %q, want 1.0", v)
	}
	for _, k := range []string{"id", "type", "source"} {
		if a[k] == "" {
			return nil, invalidf("no %s", k)
		}
	}
	r := &event.Record{
		ID: a["id"], Type: a["type"], Source: a["source"], Subject: a["subject"],
		RootID: a["rootid"], ParentID: a["parentid"], ContentType: a["datacontenttype"],
	}
	if s := a["time"]; s != "" {
		t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(s))
		if err != nil {
			return nil, invalidf("time %q is not in the form of RFC 3339", s)
		}
		r.Time = t.UTC()
	}
	md := extension.Read(nil, a["metadata"])
	for k, v := range a {
		if !extension.Core(k) {
			if md == nil {
				md = map[string]string{}
			}
			md[k] = v
		}
	}
	r.Metadata = md
	return r, nil
}

// isJSON reports whether a content type is JSON.
func isJSON(contentType string) bool {
	t, _, _ := mime.ParseMediaType(contentType)
	return t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json")
}

// Marshal returns a record as a CloudEvent in the JSON format.
func Marshal(r *event.Record) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	put := func(name string, v any) error {
		fmt.Fprintf(&b, "%q:", name)
		if err := e.Encode(v); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // the encoder's newline
		b.WriteByte(',')
		return nil
	}
	b.WriteByte('{')
	a := attributesOf(r)
	for _, k := range slices.Sorted(maps.Keys(a)) {
		put(k, a[k])
	}
	var err error
	switch {
	case len(r.Data) == 0:
	case isJSON(r.ContentType) && json.Valid(r.Data):
		err = put("data", json.RawMessage(r.Data))
	case strings.HasPrefix(r.ContentType, "text/") && utf8.Valid(r.Data) && !isJSON(r.ContentType):
		err = put("data", string(r.Data))
	default:
		err = put("data_base64", r.Data)
	}
	if err != nil {
		return nil, fault.Wrap("event/cloudevents", "write", r.ID, fault.Mark(fault.Invalid, err))
	}
	b.Truncate(b.Len() - 1)
	b.WriteByte('}')
	return b.Bytes(), nil
}

// maxDepth bounds how deep an event's data may nest.
const maxDepth = 1000

// Unmarshal reads a CloudEvent in the JSON format. A name that occurs twice in an
// object, a lone surrogate and what is not UTF-8 are event.ErrInvalid: readers would
// see different events.
func Unmarshal(b []byte) (*event.Record, error) {
	err := strictjson.Check(b, maxDepth)
	if err != nil {
		return nil, invalidf("%w", err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, invalidf("not a JSON object: %w", err)
	}
	a := make(map[string]string, len(raw))
	for k, v := range raw {
		if k == "data" || k == "data_base64" || string(v) == "null" {
			continue
		}
		switch v[0] {
		case '"':
			var s string
			if err := json.Unmarshal(v, &s); err != nil {
				return nil, invalidf("%s: %w", k, err)
			}
			a[k] = s
		case '{', '[':
			return nil, invalidf("attribute %q is not a string, a number or a boolean", k)
		default: // numbers and booleans have one form as text
			a[k] = string(v)
		}
	}
	r, err := recordOf(a)
	if err != nil {
		return nil, err
	}
	data, encoded := raw["data"], raw["data_base64"]
	switch {
	case encoded != nil && data != nil:
		return nil, invalidf("both data and data_base64")
	case encoded != nil:
		var s string
		if err := json.Unmarshal(encoded, &s); err != nil {
			return nil, invalidf("data_base64 is no string")
		}
		r.Data, err = base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, invalidf("data_base64: %w", err)
		}
	case data != nil:
		var s string
		if r.ContentType == "" {
			r.ContentType = "application/json"
		}
		if !isJSON(r.ContentType) && json.Unmarshal(data, &s) == nil {
			r.Data = []byte(s)
		} else {
			r.Data = bytes.Clone(data)
		}
	}
	return r, nil
}

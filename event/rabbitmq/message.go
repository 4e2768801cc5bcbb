package rabbitmq

import (
	"errors"
	"fmt"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/cloudevents"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/event/internal/extension"
	"github.com/micro/go-platform/internal/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Headers of a message: attributes have the prefix of the AMQP Protocol Binding for
// CloudEvents 1.0.2, which RabbitMQ hands to clients of AMQP 1.0 as application
// properties.
const (
	prefix   = "cloudEvents_"
	recorded = "recordedtime" // an extension that CloudEvents documents: when it was published
	offset   = "x-stream-offset"

	// noSource is a header of our own, outside of the binding: CloudEvents wants a
	// source, and the record has none.
	noSource = "go-platform-no-source"

	// own is put before a metadata entry whose name is taken. No attribute of
	// CloudEvents has a dash.
	own = "metadata-"

	// packed is the content type of a record whose attributes don't fit into a
	// message's head, which is one frame: the body is what eventdriver.AppendRecord makes.
	packed = "application/vnd.go-platform.record"
)

// spareFrame is what a head has besides headers.
const spareFrame = 2048

// message writes a record, published now, for a connection with frames of that size.
func (d *driver) message(r *event.Record, now time.Time, frame int) (amqp.Publishing, error) {
	m := amqp.Publishing{
		MessageId: cut(r.ID, maxShort), Type: cut(r.Type, maxShort), Timestamp: r.Time, DeliveryMode: amqp.Persistent,
		Headers: make(amqp.Table, 8+len(r.Metadata)), Body: slices.Clone(r.Data), // it may be sent later, when Data is the caller's again
	}
	size := 0
	set := func(name, value string) {
		m.Headers[prefix+name] = value
		size += len(prefix) + len(name) + len(value) + 6
	}
	set("specversion", "1.0")
	set("id", r.ID)
	set("type", r.Type)
	if r.Source == "" {
		set("source", "/")
		m.Headers[noSource] = true
	} else {
		set("source", r.Source)
	}
	set("time", r.Time.UTC().Format(time.RFC3339Nano))
	if d := now.Sub(r.Time); d < 0 || d > 5*time.Millisecond { // else it is the same
		set(recorded, now.UTC().Format(time.RFC3339Nano))
	}
	if r.Subject != "" {
		set("subject", r.Subject)
	}
	if r.RootID != r.ID {
		set("rootid", r.RootID)
	}
	if r.ParentID != "" {
		set("parentid", r.ParentID)
	}
	extension.Write(r.Metadata, func(name, value string) {
		if name == recorded { // taken by us
			name = own + name
		}
		set(name, value)
	})
	if len(r.ContentType) <= maxShort {
		m.ContentType = r.ContentType
	} else {
		set("datacontenttype", r.ContentType)
	}
	media, _, _ := mime.ParseMediaType(r.ContentType)
	if size+spareFrame > frame && frame > 0 || !fits(m.Headers) || media == packed || media == cloudevents.TypeJSON { // else Data would be read as a record
		m.Headers = amqp.Table{prefix + recorded: now.UTC().Format(time.RFC3339Nano)}
		m.ContentType, m.Body = packed, eventdriver.AppendRecord(nil, r)
	}
	if limit := d.conn.MaxMessage(); len(m.Body) > limit {
		return m, fault.Markf(fault.TooLarge, "the message has %d bytes, limit %d", len(m.Body), limit)
	}
	return m, nil
}

// fits reports whether all names are short strings.
func fits(t amqp.Table) bool {
	for k := range t {
		if len(k) > maxShort {
			return false
		}
	}
	return true
}

// position is where the stream has a message, or -1: the server says it to readers
// of the stream, and the feeder repeats it.
func position(d *amqp.Delivery) int64 {
	n, ok := d.Headers[offset].(int64)
	if !ok {
		return -1
	}
	return n
}

func format(n int64) string {
	if n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func parse(position string) (int64, error) {
	if position == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(position, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.Markf(fault.Invalid, "position %q is not one of this stream", position)
	}
	return n, nil
}

// attribute returns an attribute of CloudEvents.
func attribute(t amqp.Table, name string) string {
	v, ok := t[prefix+name]
	if !ok {
		v = t["cloudEvents:"+name] // the binding's other form
	}
	return text(v)
}

// text is how CloudEvents writes a value.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}

// typeOf reads only the type.
func typeOf(d *amqp.Delivery) string {
	if t := attribute(d.Headers, "type"); t != "" {
		return t
	}
	r, err := record(d)
	if err != nil {
		return ""
	}
	return r.Type
}

// publishedAt is what the publisher's clock said, and the zero time if it didn't
// say.
func publishedAt(d *amqp.Delivery) time.Time {
	said := attribute(d.Headers, recorded)
	if said == "" {
		said = attribute(d.Headers, "time")
	}
	t, err := time.Parse(time.RFC3339Nano, said)
	if err != nil {
		return time.Time{}
	}
	return t
}

var errVersion = errors.New("the message is no CloudEvent 1.0: another specversion")

// record reads a message: one of ours, a CloudEvent in binary or structured mode, or
// one of somebody who knows nothing of events, whose type is the property or the
// routing key.
func record(d *amqp.Delivery) (*event.Record, error) {
	r := &event.Record{Position: format(position(d))}
	if err := read(d, r); err != nil {
		return &event.Record{Position: r.Position, Data: d.Body}, err
	}
	if r.RootID == "" {
		r.RootID = r.ID
	}
	if r.Time.IsZero() {
		r.Time = d.Timestamp.UTC()
	}
	return r, nil
}

func read(d *amqp.Delivery, r *event.Record) error {
	switch media, _, _ := mime.ParseMediaType(d.ContentType); media {
	case packed:
		p, err := eventdriver.ParseRecord(string(d.Body))
		if err != nil {
			return err
		}
		p.Position = r.Position
		*r = *p
		return nil
	case cloudevents.TypeJSON:
		e, err := cloudevents.Unmarshal(d.Body)
		if err != nil {
			return err
		}
		e.Position = r.Position
		*r = *e
		return nil
	}
	switch attribute(d.Headers, "specversion") {
	case "1.0":
	case "":
		return plain(d, r)
	default:
		return errVersion
	}
	return binary(d, r)
}

// binary reads an event whose attributes are headers.
func binary(d *amqp.Delivery, r *event.Record) error {
	a := extension.Attributes{Record: r}
	r.ContentType = d.ContentType
	for k, v := range d.Headers {
		name, ok := strings.CutPrefix(k, prefix)
		if !ok {
			name, ok = strings.CutPrefix(k, "cloudEvents:")
			if !ok {
				continue
			}
		}
		switch value := text(v); name {
		case "specversion", recorded:
		case "datacontenttype":
			r.ContentType = value
		default:
			if entry, ok := strings.CutPrefix(name, own); ok {
				a.Entry(entry, value)
				continue
			}
			a.Set(name, value)
		}
	}
	if !a.Complete() {
		return errors.New("the message is no CloudEvent: it lacks id, source or type")
	}
	if r.Source == "/" && d.Headers[noSource] == true {
		r.Source = ""
	}
	if err := a.End(); err != nil {
		return err
	}
	if len(d.Body) > 0 {
		r.Data = d.Body
	}
	return nil
}

// plain makes a record of a message without attributes.
func plain(d *amqp.Delivery, r *event.Record) error {
	r.ID, r.Type, r.Source, r.ContentType = d.MessageId, d.Type, d.AppId, d.ContentType
	if r.ID == "" {
		r.ID = "message-" + r.Position
	}
	if r.Type == "" {
		r.Type = d.RoutingKey
	}
	if r.Type == "" || !utf8.ValidString(r.Type+r.ID+r.Source+r.ContentType) {
		return errors.New("the message has no type and no routing key, or they are not UTF-8")
	}
	for k, v := range d.Headers {
		if s, ok := v.(string); ok && !strings.HasPrefix(k, "x-") && utf8.ValidString(s) {
			if r.Metadata == nil {
				r.Metadata = make(map[string]string)
			}
			r.Metadata[k] = s
		}
	}
	if len(d.Body) > 0 {
		r.Data = d.Body
	}
	return nil
}

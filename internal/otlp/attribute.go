package otlp

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
)

// Attribute appends a KeyValue. v may be a LogValuer.
func Attribute(b []byte, field int, key string, v slog.Value) []byte {
	b, start := Open(b, field)
	b = String(b, 1, key)
	b, at := Open(b, 2)
	b = value(b, v)
	return Shut(Shut(b, at), start)
}

// Attributes appends a KeyValue for each attribute. A group without a name is
// its attributes, as in slog.
func Attributes(b []byte, field int, attrs []slog.Attr) []byte {
	for _, a := range attrs {
		v := a.Value.Resolve()
		if a.Key == "" && v.Kind() == slog.KindGroup {
			b = Attributes(b, field, v.Group())
			continue
		}
		b = Attribute(b, field, a.Key, v)
	}
	return b
}

// value appends the one field of an AnyValue.
func value(b []byte, v slog.Value) []byte {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindBool:
		if v.Bool() {
			return Varint(b, 2, 1)
		}
		return Varint(b, 2, 0)
	case slog.KindInt64:
		return Varint(b, 3, uint64(v.Int64()))
	case slog.KindDuration:
		return Varint(b, 3, uint64(v.Duration()))
	case slog.KindUint64:
		if n := v.Uint64(); n <= math.MaxInt64 {
			return Varint(b, 3, n)
		}
	case slog.KindFloat64:
		return Double(b, 4, v.Float64())
	case slog.KindGroup:
		b, start := Open(b, 6)
		return Shut(Attributes(b, 1, v.Group()), start)
	case slog.KindAny:
		switch x := v.Any().(type) {
		case []byte:
			return Bytes(b, 7, x)
		case []string:
			return list(b, x, slog.StringValue)
		case []int:
			return list(b, x, slog.IntValue)
		case []int64:
			return list(b, x, slog.Int64Value)
		case []float64:
			return list(b, x, slog.Float64Value)
		case []bool:
			return list(b, x, slog.BoolValue)
		case error:
			return String(b, 1, said(x))
		}
	}
	return String(b, 1, v.String())
}

// said is the text of an error; a panic in it is text like another.
func said(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprintf("!PANIC: %v", p)
		}
	}()
	return err.Error()
}

func list[T any](b []byte, all []T, of func(T) slog.Value) []byte {
	b, start := Open(b, 5)
	for _, one := range all {
		var at int
		b, at = Open(b, 1)
		b = Shut(value(b, of(one)), at)
	}
	return Shut(b, start)
}

// Resource returns the encoded Resource of a process: what attrs say, and the
// service's name, which OpenTelemetry wants in any case. Of two attributes with
// one key the later counts.
func Resource(service, instance string, attrs []slog.Attr) []byte {
	all := []slog.Attr{
		slog.String("service.name", service),
		slog.String("telemetry.sdk.name", "go-platform"),
		slog.String("telemetry.sdk.language", "go"),
	}
	if service == "" { // the specification's own word for it
		all[0].Value = slog.StringValue("unknown_service:" + filepath.Base(os.Args[0]))
	}
	if instance != "" {
		all = append(all, slog.String("service.instance.id", instance))
	}
	for _, a := range attrs {
		known := false
		for i := range all {
			if all[i].Key == a.Key {
				all[i], known = a, true
			}
		}
		if !known {
			all = append(all, a)
		}
	}
	return Attributes(nil, 1, all)
}

// Request returns a request of one resource and one scope with items, which
// are encoded fields of the scope's message. The messages of the three signals
// have the same shape down to there.
func Request(resource []byte, scopes ...Scope) []byte {
	size := len(resource) + 32
	for _, s := range scopes {
		size += len(s.Name) + len(s.Items) + 32
	}
	b := make([]byte, 0, size)
	b, r := Open(b, 1)
	b = Bytes(b, 1, resource)
	for _, s := range scopes {
		var at int
		b, at = Open(b, 2)
		if s.Name != "" {
			var name int
			b, name = Open(b, 1)
			b = Shut(String(b, 1, s.Name), name)
		}
		b = Shut(append(b, s.Items...), at)
	}
	return Shut(b, r)
}

// Scope is the items that one library or logger made.
type Scope struct {
	Name  string
	Items []byte
}

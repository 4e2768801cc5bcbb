package otlp_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/micro/go-platform/internal/otlp"
)

// What is written, protobuf's own library writes alike.
func TestFieldsAreProtobufs(t *testing.T) {
	for _, number := range []int{1, 15, 16, 2047, 2048, 1<<29 - 1} {
		n := protowire.Number(number)
		for name, c := range map[string]struct{ got, want []byte }{
			"varint 0":      {otlp.Varint(nil, number, 0), protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), 0)},
			"varint most":   {otlp.Varint(nil, number, math.MaxUint64), protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), math.MaxUint64)},
			"fixed64":       {otlp.Fixed64(nil, number, 1<<63), protowire.AppendFixed64(protowire.AppendTag(nil, n, protowire.Fixed64Type), 1<<63)},
			"fixed32":       {otlp.Fixed32(nil, number, 1<<31), protowire.AppendFixed32(protowire.AppendTag(nil, n, protowire.Fixed32Type), 1<<31)},
			"double":        {otlp.Double(nil, number, -2.5), protowire.AppendFixed64(protowire.AppendTag(nil, n, protowire.Fixed64Type), math.Float64bits(-2.5))},
			"bytes":         {otlp.Bytes(nil, number, []byte{0, 255}), protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), []byte{0, 255})},
			"text":          {otlp.String(nil, number, "ä"), protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), "ä")},
			"text, bad":     {otlp.String(nil, number, "a\xffb"), protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), "a\uFFFDb")},
			"empty text":    {otlp.String(nil, number, ""), protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), "")},
			"text or none":  {otlp.Text(nil, number, "x"), protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), "x")},
			"text or none ": {otlp.Text(nil, number, ""), nil},
		} {
			if !bytes.Equal(c.got, c.want) {
				t.Errorf("%s, field %d: % x, want % x", name, number, c.got, c.want)
			}
		}
	}
}

// The length of a message is written behind it, where its size is a matter of
// one byte, two, three or four.
func TestMessagesOfEverySize(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 129, 16383, 16384, 16385, 1<<21 - 1, 1 << 21} {
		inner := bytes.Repeat([]byte{7}, size)
		b, outer := otlp.Open([]byte("before"), 3)
		b, at := otlp.Open(b, 5)
		b = otlp.Shut(append(b, inner...), at)
		b = otlp.Shut(b, outer)
		want := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), inner)
		want = protowire.AppendBytes(protowire.AppendTag([]byte("before"), 3, protowire.BytesType), want)
		if !bytes.Equal(b, want) {
			t.Errorf("%d bytes: % x…, want % x…", size, b[:min(len(b), 24)], want[:min(len(want), 24)])
		}
	}
}

// reads compares Next with what protobuf's own library reads.
func reads(t *testing.T, b []byte) {
	t.Helper()
	for whole := b; ; {
		f, rest, ok := otlp.Next(b)
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 || number > 1<<29-1 || kind == protowire.StartGroupType || kind == protowire.EndGroupType || kind > protowire.Fixed32Type {
			if ok {
				t.Fatalf("% x: read field %d where there is none", whole, f.Number)
			}
			return
		}
		size := protowire.ConsumeFieldValue(number, kind, b[n:])
		if ok != (size >= 0) {
			t.Fatalf("% x: field %d is read: %v, want %v", whole, number, ok, size >= 0)
		}
		if !ok {
			return
		}
		value := b[n : n+size]
		want := otlp.Field{Number: int(number)}
		switch kind {
		case protowire.VarintType:
			want.Int, _ = protowire.ConsumeVarint(value)
		case protowire.Fixed64Type:
			want.Int, _ = protowire.ConsumeFixed64(value)
		case protowire.Fixed32Type:
			v, _ := protowire.ConsumeFixed32(value)
			want.Int = uint64(v)
		default:
			want.Bytes, _ = protowire.ConsumeBytes(value)
		}
		if f.Number != want.Number || f.Int != want.Int || !bytes.Equal(f.Bytes, want.Bytes) || len(rest) != len(b)-n-size {
			t.Fatalf("% x: read %+v and %d bytes behind it, want %+v and %d", whole, f, len(rest), want, len(b)-n-size)
		}
		b = rest
	}
}

// What a server answers may be anything.
func TestAnswersOfAnyForm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		b := make([]byte, r.IntN(40))
		for i := range b {
			if b[i] = byte(r.Uint32()); r.IntN(2) == 0 {
				b[i] &= 0x1f // a small number: a tag or a length
			}
		}
		reads(t, b)
		otlp.Partial(b)
	}
	message := otlp.Double(otlp.Fixed32(otlp.Bytes(otlp.Varint(nil, 300, 1<<40), 1, []byte(strings.Repeat("x", 200))), 2, 7), 1<<29-1, 1)
	for end := range len(message) + 1 { // cut anywhere
		reads(t, message[:end])
	}
	for _, b := range [][]byte{{0x08}, {0x08, 0x80}, {0, 1}, {0x07, 1}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, {0x0a, 0x80}} {
		reads(t, b)
	}
}

func TestPartialSuccess(t *testing.T) {
	in := func(rejected uint64, why string) []byte {
		return otlp.Bytes(nil, 1, otlp.Text(otlp.Varint(nil, 1, rejected), 2, why))
	}
	for name, c := range map[string]struct {
		answer []byte
		want   string
	}{
		"none":                 {nil, "0 "},
		"all taken":            {in(0, ""), "0 "},
		"a warning":            {in(0, "deprecated"), "0 deprecated"},
		"some":                 {in(3, "too old"), "3 too old"},
		"a negative number":    {in(math.MaxUint64, ""), "0 "},
		"unknown fields first": {append(otlp.Bytes(otlp.Varint(nil, 2, 9), 3, in(9, "not this")), in(2, "this")...), "2 this"},
		"unknown fields last":  {append(in(2, "this"), otlp.Bytes(nil, 3, in(9, "not this"))...), "2 this"},
		"cut":                  {in(3, "too old")[:5], "0 "},
	} {
		if r := otlp.Partial(c.answer); fmt.Sprint(r.Items, " ", r.Reason) != c.want {
			t.Errorf("%s: %+v, want %s", name, r, c.want)
		}
	}
}

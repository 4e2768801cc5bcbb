package codec

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

var records = map[string]Record{
	"little": {Type: "t", Time: time.Unix(0, 0).UTC()},
	"all": {ID: "1", Type: "t", Source: "s", RootID: "r", ParentID: "p", Subject: "ü", Time: time.Unix(-5, 7).UTC(),
		Metadata: map[string]string{"k": "v", "": "empty", "e": ""}, ContentType: "text/plain", Data: []byte{0, 255}},
	"127 bytes":   {ID: strings.Repeat("i", 127), Type: strings.Repeat("t", 127), Time: time.Unix(1, 0).UTC(), Data: []byte("x")},
	"128 bytes":   {ID: strings.Repeat("i", 128), Type: "t", Time: time.Unix(1, 0).UTC(), Data: []byte("x")},
	"a long type": {ID: "1", Type: strings.Repeat("t", 20_000), Source: "s", Time: time.Unix(0, math.MaxInt64).UTC(), Metadata: map[string]string{"k": strings.Repeat("v", 300)}},
}

func TestRecordsComeBack(t *testing.T) {
	for name, want := range records {
		b := Append(nil, &want)
		var got Record
		if err := Parse(string(b), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
		if typ, ok := Type(string(b)); typ != want.Type || !ok {
			t.Errorf("%s: type %.20q, %v", name, typ, ok)
		}
		head := AppendHead(nil, &want)
		if n := MaxHead(&want); len(head) > n || len(b) != len(head)+len(want.Data) {
			t.Errorf("%s: a head of %d bytes, at most %d", name, len(head), n)
		}
		got = Record{Data: want.Data}
		ParseHead(string(head), &got)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the head is that of %+v", name, got)
		}
	}
}

// A record that is cut off before its data is none.
func TestHalfARecordIsNone(t *testing.T) {
	for name, r := range records {
		head := string(AppendHead(nil, &r))
		for n := range len(head) {
			var got Record
			if err := Parse(head[:n], &got); err == nil {
				t.Fatalf("%s: %d of %d bytes are %+v", name, n, len(head), got)
			}
		}
		if err := Parse(head, &Record{}); err != nil {
			t.Errorf("%s: without data: %v", name, err)
		}
	}
}

func TestWhatIsNoRecord(t *testing.T) {
	text := func(all ...string) string {
		b := []byte{version}
		for _, s := range all {
			b = AppendText(b, s)
		}
		return string(b)
	}
	const end = "\x00\x00" // the time, and no metadata
	head := text("1", "t", "", "", "", "", "")
	for name, c := range map[string]struct {
		s  string
		ok bool
	}{
		"a record":                {head + end, true},
		"another version":         {"\x02" + head[1:] + end, false},
		"version 0":               {"\x00" + head[1:] + end, false},
		"no type":                 {text("1", "", "", "", "", "", "") + end, false},
		"no UTF-8":                {text("1", "t", "\xff", "", "", "", "") + end, false},
		"a pair":                  {head + "\x00\x01\x01k\x01v", true},
		"a pair of empty texts":   {head + "\x00\x01\x00\x00", true},
		"half a pair":             {head + "\x00\x01\x01k", false},
		"a pair that is no UTF-8": {head + "\x00\x01\x01k\x01\xff", false},
		"more pairs than bytes":   {head + "\x00\x05\x00\x00\x00\x00", false},
		"2^62 pairs":              {head + "\x00\x80\x80\x80\x80\x80\x80\x80\x80\x40", false},
		"too few pairs":           {head + "\x00\x03\x00\x00\x00\x00", false},
		"a number that ends":      {head + strings.Repeat("\xff", 9) + "\x01" + "\x00", true},
		"a number too large":      {head + strings.Repeat("\xff", 9) + "\x02" + "\x00", false},
		"a number too long":       {head + strings.Repeat("\xff", 10) + "\x01" + "\x00", false},
		"a number without an end": {head + strings.Repeat("\xff", 5), false},
		"a text too long":         {string([]byte{version, 3}) + "1t", false},
		"a text of 2^32 bytes":    {string([]byte{version}) + "\x80\x80\x80\x80\x10" + head[2:] + end, false},
	} {
		var got Record
		if err := Parse(c.s, &got); (err == nil) != c.ok {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
	for s, want := range map[string]string{"": "", "\x02" + head[1:]: "", text("1"): "", text("1", ""): "", text("1", "t"): "t", text("", "t") + "rest": "t", head[:3]: ""} {
		if typ, ok := Type(s); typ != want || ok != (want != "") {
			t.Errorf("%q has the type %q, %v, want %q", s, typ, ok, want)
		}
	}
}

// After a failure everything is empty.
func TestAParserThatHasFailed(t *testing.T) {
	p := Parser{Rest: "\x09ab\x01c\x02"}
	if s := p.Text(); s != "" || !p.Bad || p.Text() != "" || p.Uvarint() != 0 || p.Rest != "" {
		t.Errorf("%q, bad %v, %q is left", s, p.Bad, p.Rest)
	}
	for _, n := range []int64{0, 1, -1, 63, -64, 64, math.MaxInt64, math.MinInt64} {
		r := Record{Type: "t", Time: time.Unix(0, n).UTC()}
		var got Record
		if err := Parse(string(Append(nil, &r)), &got); err != nil || got.Time.UnixNano() != n {
			t.Errorf("%d came back as %d, %v", n, got.Time.UnixNano(), err)
		}
	}
}

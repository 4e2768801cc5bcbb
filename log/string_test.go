package log_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
)

// Strings are looked at eight bytes at a time: what must be escaped is found at
// every place among others.
func TestEveryByteAtEveryPlaceOfAString(t *testing.T) {
	for n := range 26 {
		for at := range n {
			for c := range 256 {
				for _, fill := range []byte{'a', ' ', '~', '#', '!', '[', ']'} {
					s := bytes.Repeat([]byte{fill}, n)
					s[at] = byte(c)
					got := log.AppendString(nil, string(s))
					var back string
					if err := json.Unmarshal(got, &back); err != nil || back != strings.ToValidUTF8(string(s), "\uFFFD") {
						t.Fatalf("%q became %s: %v", s, got, err)
					}
					if escaped := len(got) != n+2; escaped != (c < ' ' || c == '"' || c == '\\' || c >= 0x7f) {
						t.Fatalf("%q became %s", s, got)
					}
				}
			}
		}
	}
}

// A record without a time begins with its level, also where a fixed field is
// ahead of it.
func TestARecordWithoutATime(t *testing.T) {
	keys := log.Keys{Time: "t", Level: "l", Logger: "n", Message: "m", Source: "s"}
	for fixed, want := range map[string]string{
		"":        `{"l":"INFO","m":"x"}`,
		`"v":"1"`: `{"v":"1","l":"INFO","m":"x"}`,
	} {
		if got := string(log.JSONKeys("x", keys, 3, fixed).Append(nil, &log.Record{Message: "x"})); got != want+"\n" {
			t.Errorf("%q: %s, want %s", fixed, got, want)
		}
		got := string(log.JSONKeys("x", keys, 3, fixed).Append(nil, &log.Record{Message: "x", Logger: "a", Source: "b:1"}))
		if want := strings.Replace(want, `,"m"`, `,"n":"a","s":"b:1","m"`, 1); got != want+"\n" {
			t.Errorf("%q: %s, want %s", fixed, got, want)
		}
	}
}

// The digits of seconds, for each number of them.
func TestDecimalsOfTheTime(t *testing.T) {
	keys := log.Keys{Time: "t", Level: "l", Message: "m"}
	for _, nano := range []int{0, 1, 999, 1000, 123456789, 999999999, 100000000, 1999} {
		at := time.Date(2026, 1, 2, 3, 4, 5, nano, time.UTC)
		for decimals := range 10 {
			want := `{"t":"2026-01-02T03:04:05.` + fmt.Sprintf("%09d", nano)[:decimals] + `Z",`
			if got := string(log.JSONKeys("x", keys, decimals, "").Append(nil, &log.Record{Time: at})); !strings.HasPrefix(got, want) {
				t.Errorf("%d ns, %d decimals: %s, want %s", nano, decimals, got, want)
			}
		}
	}
}

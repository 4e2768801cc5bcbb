package post_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/post"
)

func TestRetryAfter(t *testing.T) {
	for v, want := range map[string][2]time.Duration{
		"":                     {},
		"0":                    {},
		"1":                    {time.Second, time.Second},
		"299":                  {299 * time.Second, 299 * time.Second},
		"300":                  {post.Longest, post.Longest},
		"301":                  {post.Longest, post.Longest},
		"9223372036854775807":  {post.Longest, post.Longest},
		"99999999999999999999": {},
		"-5":                   {},
		"1.5":                  {},
		"soon":                 {},
		time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):    {50 * time.Second, time.Minute},
		time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat):   {},
		time.Now().Add(24 * time.Hour).UTC().Format(http.TimeFormat): {post.Longest, post.Longest},
	} {
		h := http.Header{}
		if v != "" {
			h.Set("Retry-After", v)
		}
		if got := post.RetryAfter(h); got < want[0] || got > want[1] {
			t.Errorf("%q: %v, want %v to %v", v, got, want[0], want[1])
		}
	}
}

func TestPackFromOneKiB(t *testing.T) {
	for size, want := range map[int]bool{0: false, 1023: false, 1024: true, 1 << 20: true} {
		b, packed := post.Pack(make([]byte, size))
		if packed != want || packed == (len(b) == size) {
			t.Errorf("%d bytes: %v, %d bytes", size, packed, len(b))
		}
	}
}

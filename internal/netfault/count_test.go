package netfault

import (
	"strings"
	"testing"
)

func TestRequestCounter(t *testing.T) {
	get := "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
	post := "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nGET /c HTTP/1.1\r\n\r\n."
	chunked := "PUT /d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nGET /\r\n1\r\n\n\r\n0\r\nTrailer: 1\r\n\r\n"
	tests := []struct {
		name   string
		stream string
		want   int64
	}{
		{"requests without a body", strings.Repeat(get, 3), 3},
		{"a body that looks like a request", post + get, 2},
		{"a body in chunks", chunked + get + chunked, 3},
		{"all kinds", get + post + chunked + post + get, 5},
		{"an unfinished head", get + "GET /", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for size := 5; size <= len(test.stream); size++ {
				var c requestCounter
				var got int64
				for rest := test.stream; rest != ""; {
					n := min(size, len(rest))
					got += c.count([]byte(rest[:n]))
					rest = rest[n:]
				}
				if got != test.want {
					t.Fatalf("chunks of %d: got %d requests, want %d", size, got, test.want)
				}
			}
		})
	}
}

func TestRequestCounterOfOtherProtocols(t *testing.T) {
	for name, chunks := range map[string][]string{
		"redis":         {"*1\r\n$4\r\nPING\r\n", "*1\r\n$4\r\nPING\r\n"},
		"HTTP/2":        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"},
		"not quite one": {"GET / HTTP/1.1\r\nbroken\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"},
	} {
		var c requestCounter
		var got int64
		for _, chunk := range chunks {
			got += c.count([]byte(chunk))
		}
		if got != 2 {
			t.Errorf("%s: got %d, want a count of 2 chunks", name, got)
		}
	}
}

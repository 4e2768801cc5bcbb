package otlp

import (
	"log/slog"
	"testing"

	"github.com/micro/go-platform/internal/otlp"
)

func TestPeers(t *testing.T) {
	peer := func(address string, port int64) (b []byte) {
		b = otlp.Attribute(b, 9, "network.peer.address", slog.StringValue(address))
		if port >= 0 {
			b = otlp.Attribute(b, 9, "network.peer.port", slog.Int64Value(port))
		}
		return b
	}
	for addr, want := range map[string][]byte{
		"": nil, "10.0.0.1:80": peer("10.0.0.1", 80), "[::1]:80": peer("::1", 80), "/run/app.sock": peer("/run/app.sock", -1), "host": peer("host", -1), "host:http": peer("host", 0),
	} {
		if got := appendPeer(nil, addr); string(got) != string(want) {
			t.Errorf("%q: %x, want %x", addr, got, want)
		}
	}
}

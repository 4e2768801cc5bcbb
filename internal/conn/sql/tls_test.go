package sql_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
)

// greeting is MySQL's first packet, of a server that can do TLS or can't.
func greeting(secure bool) []byte {
	lower := uint16(0x8208) // a database, the protocol of 4.1, its passwords
	if secure {
		lower |= 0x0800
	}
	b := append([]byte{10}, "8.0.0\x00\x01\x00\x00\x0012345678\x00"...)
	b = binary.LittleEndian.AppendUint16(b, lower)
	b = append(b, 45, 2, 0, 8, 0, 21)
	b = append(b, make([]byte, 10)...)
	b = append(b, "123456789012\x00mysql_native_password\x00"...)
	return append([]byte{byte(len(b)), 0, 0, 0}, b...)
}

// TLS is what a client asks for first, if the configuration has it, whatever the
// address says; and a server without it gets nothing else.
func TestTLSComesFirst(t *testing.T) {
	given := &tls.Config{ServerName: "db", MinVersion: tls.VersionTLS13}
	for name, c := range map[string]struct {
		sql.Config
		greets []byte
		want   string
	}{
		"mysql":                {sql.Config{Kind: sql.MySQL, Address: "mysql://u:p@%/d"}, greeting(true), "plain"},
		"mysql, TLS":           {sql.Config{Kind: sql.MySQL, Address: "mysql://u:p@%/d", TLS: given}, greeting(true), "TLS"},
		"mysql, preferred":     {sql.Config{Kind: sql.MySQL, Address: "mysql://u:p@%/d?tls=preferred"}, greeting(false), "plain"},
		"mysql, only TLS":      {sql.Config{Kind: sql.MySQL, Address: "mysql://u:p@%/d?tls=preferred", TLS: given}, greeting(false), "nothing"},
		"postgres":             {sql.Config{Kind: sql.Postgres, Address: "postgres://u:p@%/d?sslmode=disable"}, nil, "plain"},
		"postgres, TLS":        {sql.Config{Kind: sql.Postgres, Address: "postgres://u:p@%/d?sslmode=disable", TLS: given}, nil, "TLS"},
		"postgres, preferred":  {sql.Config{Kind: sql.Postgres, Address: "postgres://u:p@%/d?sslmode=allow"}, nil, "plain"},
		"postgres, always TLS": {sql.Config{Kind: sql.Postgres, Address: "postgres://u:p@%/d?sslmode=allow", TLS: given}, nil, "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := first(t, c.Config, c.greets); got != c.want {
				t.Errorf("the client began with %s, want %s", got, c.want)
			}
		})
	}
}

// first has a client connect, and says what it sends.
func first(t *testing.T, c sql.Config, greets []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sent := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			sent <- err.Error()
			return
		}
		defer conn.Close()
		l.Close() // there is no second try
		conn.Write(greets)
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		b := make([]byte, 8)
		_, err = io.ReadFull(conn, b)
		switch {
		case err != nil:
			sent <- "nothing"
		case greets != nil && b[5]&0x08 != 0, greets == nil && binary.BigEndian.Uint32(b[4:]) == 80877103:
			sent <- "TLS"
		default:
			sent <- "plain"
		}
	}()
	c.Address = strings.Replace(c.Address, "%", l.Addr().String(), 1)
	d, err := sql.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Ping(t.Context()); err == nil {
		t.Error("a server that ends answered")
	}
	return <-sent
}

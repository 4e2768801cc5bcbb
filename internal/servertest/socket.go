package servertest

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// A socket is the client's side of a WebSocket (RFC 6455), as far as a browser's DevTools need it:
// whole text messages, one caller, no extensions.
type socket struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialSocket(u *url.URL) (*socket, error) {
	conn, err := net.DialTimeout("tcp", u.Host, patience)
	if err != nil {
		return nil, err
	}
	s := &socket{conn, bufio.NewReader(conn)}
	key := make([]byte, 16)
	rand.Read(key)
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
		u.RequestURI(), u.Host, base64.StdEncoding.EncodeToString(key))
	resp, err := http.ReadResponse(s.in, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("%s: %s", u, resp.Status)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

// write sends one text message. What a client sends is masked.
func (s *socket) write(message []byte) error {
	frame := []byte{0x81, 0x80}
	switch n := len(message); {
	case n < 126:
		frame[1] |= byte(n)
	case n < 1<<16:
		frame[1] |= 126
		frame = binary.BigEndian.AppendUint16(frame, uint16(n))
	default:
		frame[1] |= 127
		frame = binary.BigEndian.AppendUint64(frame, uint64(n))
	}
	frame = append(frame, 0, 0, 0, 0) // a mask that changes nothing
	s.conn.SetDeadline(time.Now().Add(patience))
	_, err := s.conn.Write(append(frame, message...))
	return err
}

// read returns the next message, of one frame or several.
func (s *socket) read() ([]byte, error) {
	s.conn.SetDeadline(time.Now().Add(patience))
	var message []byte
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(s.in, head); err != nil {
			return nil, err
		}
		length := uint64(head[1] & 0x7f)
		if more := map[uint64]int{126: 2, 127: 8}[length]; more > 0 {
			b := make([]byte, 8)
			if _, err := io.ReadFull(s.in, b[8-more:]); err != nil {
				return nil, err
			}
			length = binary.BigEndian.Uint64(b)
		}
		if length > 1<<28 {
			return nil, fmt.Errorf("a frame of %d bytes", length)
		}
		part := make([]byte, length)
		if _, err := io.ReadFull(s.in, part); err != nil {
			return nil, err
		}
		switch head[0] & 0x0f {
		case 8:
			return nil, io.EOF
		case 0, 1, 2:
			message = append(message, part...)
			if head[0]&0x80 != 0 {
				return message, nil
			}
		}
	}
}

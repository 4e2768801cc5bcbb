package fluentd

import (
	"context"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
)

func digest(parts ...string) string {
	h := sha512.New()
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// greet is the handshake: the server's HELO has a nonce, our PING proves the
// shared key and the password by digests, its PONG proves the key to us.
func (d *driver) greet(ctx context.Context, c net.Conn) error {
	answer, err := read(ctx, c)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	helo, _ := answer.([]any)
	if len(helo) != 2 || helo[0] != "HELO" {
		return errors.New("handshake: no HELO")
	}
	o, _ := helo[1].(map[string]any)
	nonce, _ := o["nonce"].(string)
	authSalt, _ := o["auth"].(string)

	var b [16]byte
	_, _ = rand.Read(b[:])
	salt := hex.EncodeToString(b[:])
	host := hostname()
	m := appendArray(nil, 6)
	m = appendString(m, "PING")
	m = appendString(m, host)
	m = appendString(m, salt)
	m = appendString(m, digest(salt, host, nonce, d.key))
	if authSalt != "" {
		m = appendString(m, d.user)
		m = appendString(m, digest(authSalt, d.user, d.password))
	} else {
		m = appendString(appendString(m, ""), "")
	}
	if _, err := c.Write(m); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	answer, err = read(ctx, c)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	pong, _ := answer.([]any)
	if len(pong) != 5 || pong[0] != "PONG" {
		return errors.New("handshake: no PONG")
	}
	if pong[1] != true {
		return fmt.Errorf("handshake: refused: %v", pong[2])
	}
	server, _ := pong[3].(string)
	proof, _ := pong[4].(string)
	if subtle.ConstantTimeCompare([]byte(proof), []byte(digest(salt, server, nonce, d.key))) != 1 {
		return errors.New("handshake: the server does not know the shared key")
	}
	return nil
}

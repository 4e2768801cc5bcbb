//go:build !unix

package stream

import "net"

// alive cannot look here; a dead connection shows on use.
func alive(net.Conn) bool { return true }

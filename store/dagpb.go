package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// maxLinks is the number of blocks that one node lists. It is part of the
// format, and the default of every IPFS implementation.
const maxLinks = 174

// A link is one entry of a node.
type link struct {
	ref     Ref
	content uint64 // bytes of the blob below it
	total   uint64 // bytes of all blocks below it, itself included
}

// The protobuf tags of the two messages that make up a node: PBNode and PBLink
// of the DAG-PB specification, Data of the UnixFS specification.
const (
	tagNodeData      = 1<<3 | 2
	tagNodeLink      = 2<<3 | 2
	tagLinkHash      = 1<<3 | 2
	tagLinkName      = 2<<3 | 2
	tagLinkTsize     = 3 << 3
	tagUnixType      = 1 << 3
	tagUnixFileSize  = 3 << 3
	tagUnixBlockSize = 4 << 3

	unixTypeFile = 2
)

// encodeNode returns the DAG-PB block of a UnixFS file node with these links.
func encodeNode(links []link) []byte {
	var block, msg, unix []byte
	unix = append(unix, tagUnixType, unixTypeFile)
	var content uint64
	for _, l := range links {
		content += l.content
	}
	unix = binary.AppendUvarint(append(unix, tagUnixFileSize), content)
	for _, l := range links {
		unix = binary.AppendUvarint(append(unix, tagUnixBlockSize), l.content)

		msg = append(msg[:0], tagLinkHash, refSize)
		msg = append(msg, l.ref.Bytes()...)
		msg = append(msg, tagLinkName, 0)
		msg = binary.AppendUvarint(append(msg, tagLinkTsize), l.total)
		block = binary.AppendUvarint(append(block, tagNodeLink), uint64(len(msg)))
		block = append(block, msg...)
	}
	block = binary.AppendUvarint(append(block, tagNodeData), uint64(len(unix)))
	return append(block, unix...)
}

var errBadNode = errors.New("malformed node of a tree")

// decodeNode parses exactly the blocks that encodeNode makes.
func decodeNode(block []byte) ([]link, error) {
	var links []link
	rest := block
	for len(rest) > 0 && rest[0] == tagNodeLink && len(links) < maxLinks {
		msg, after, err := cutBytes(rest[1:])
		if err != nil {
			return nil, err
		}
		l, err := decodeLink(msg)
		if err != nil {
			return nil, err
		}
		links, rest = append(links, l), after
	}
	if len(links) == 0 || len(rest) == 0 || rest[0] != tagNodeData {
		return nil, fmt.Errorf("%w: it lists nothing", errBadNode)
	}
	unix, rest, err := cutBytes(rest[1:])
	if err != nil {
		return nil, err
	}
	if err := decodeUnixFS(unix, links); err != nil {
		return nil, err
	}
	// Whatever differs from our own encoding, an unknown field, a long varint
	// or trailing bytes, differs here.
	if len(rest) != 0 || !bytes.Equal(encodeNode(links), block) {
		return nil, fmt.Errorf("%w: not canonical", errBadNode)
	}
	return links, nil
}

func decodeLink(msg []byte) (link, error) {
	if len(msg) < 1 || msg[0] != tagLinkHash {
		return link{}, fmt.Errorf("%w: link without a hash", errBadNode)
	}
	hash, rest, err := cutBytes(msg[1:])
	if err != nil {
		return link{}, err
	}
	ref, err := ParseRefBytes(hash)
	if err != nil {
		return link{}, err
	}
	rest, ok := bytes.CutPrefix(rest, []byte{tagLinkName, 0, tagLinkTsize})
	if !ok {
		return link{}, fmt.Errorf("%w: link with a name or without a size", errBadNode)
	}
	total, n := binary.Uvarint(rest)
	if n <= 0 || n != len(rest) {
		return link{}, fmt.Errorf("%w: link size", errBadNode)
	}
	return link{ref: ref, total: total}, nil
}

// decodeUnixFS sets the content size of each link.
func decodeUnixFS(unix []byte, links []link) error {
	rest, ok := bytes.CutPrefix(unix, []byte{tagUnixType, unixTypeFile, tagUnixFileSize})
	if !ok {
		return fmt.Errorf("%w: not a file", errBadNode)
	}
	_, n := binary.Uvarint(rest)
	if n <= 0 {
		return fmt.Errorf("%w: file size", errBadNode)
	}
	rest = rest[n:]
	for i := range links {
		if len(rest) == 0 || rest[0] != tagUnixBlockSize {
			return fmt.Errorf("%w: %d sizes for %d links", errBadNode, i, len(links))
		}
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 {
			return fmt.Errorf("%w: block size", errBadNode)
		}
		links[i].content, rest = size, rest[1+n:]
	}
	return nil
}

// cutBytes splits b after a length-prefixed string.
func cutBytes(b []byte) (s, rest []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, fmt.Errorf("%w: length", errBadNode)
	}
	return b[n : n+int(size)], b[n+int(size):], nil
}

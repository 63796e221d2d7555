package sniff

import (
	"bytes"
	"encoding/binary"
	"path"
	"strings"

	"github.com/ward-health/ward/pre"
)

// isDICOM reports whether it is a DICOM file: with a preamble, or, as old ones
// are, without one and named so.
func isDICOM(name string, b []byte) bool {
	if len(b) >= 132 && string(b[128:132]) == "DICM" {
		return true
	}
	return strings.EqualFold(path.Ext(name), ".dcm") && len(b) > 8
}

// dicom reads what it needs from the first elements of a DICOM file (PS3.10). It
// stops at whatever it cannot step over: then less is known.
func dicom(b []byte) Record {
	r := Record{Type: "clinical/exam/imaging", MediaType: "application/dicom"}
	if len(b) >= 132 && string(b[128:132]) == "DICM" {
		b = b[132:]
	}
	explicit := true
	for len(b) >= 8 {
		group := binary.LittleEndian.Uint16(b)
		if group > 0x0008 {
			break
		}
		tag := uint32(group)<<16 | uint32(binary.LittleEndian.Uint16(b[2:]))
		value, rest, ok := element(b, group == 2 || explicit)
		if !ok {
			break
		}
		b = rest
		text := strings.TrimRight(string(value), "\x00 ")
		switch tag {
		case 0x00020010: // transfer syntax
			explicit = text != "1.2.840.10008.1.2"
		case 0x00080020: // study date
			r.Dated = day(text)
		case 0x00080060: // modality
			if t, ok := modalities[text]; ok {
				r.Type = t
			}
			r.Title = "DICOM " + text
		case 0x00081030: // study description
			if text != "" {
				r.Title = text
			}
		}
	}
	return r
}

// element reads one data element, little endian.
func element(b []byte, explicit bool) (value, rest []byte, ok bool) {
	length, header := binary.LittleEndian.Uint32(b[4:]), 8
	if explicit {
		switch vr := b[4:6]; {
		case bytes.Contains([]byte("OB OD OF OL OV OW SQ SV UC UN UR UT UV"), vr):
			if len(b) < 12 {
				return nil, nil, false
			}
			length, header = binary.LittleEndian.Uint32(b[8:]), 12
		default:
			length = uint32(binary.LittleEndian.Uint16(b[6:]))
		}
	}
	if uint64(length) > uint64(len(b)-header) { // of undefined length, or cut off
		return nil, nil, false
	}
	return b[header : header+int(length)], b[header+int(length):], true
}

// modalities whose objects are no images.
var modalities = map[string]pre.Type{
	"ECG":      "clinical/exam/ecg",
	"HD":       "clinical/exam/ecg",
	"EPS":      "clinical/exam/ecg",
	"RTPLAN":   "clinical/procedure/radiotherapy",
	"RTDOSE":   "clinical/procedure/radiotherapy",
	"RTSTRUCT": "clinical/procedure/radiotherapy",
	"RTRECORD": "clinical/procedure/radiotherapy",
	"DOC":      "clinical/document",
}

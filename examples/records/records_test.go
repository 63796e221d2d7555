package records

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated records")

// TestGeneratedRecords makes the two binary records anew: so it is on the table
// what is in them.
func TestGeneratedRecords(t *testing.T) {
	for name, want := range map[string][]byte{"imaging-ct.dcm": slice(), "discharge-letter.pdf": letter()} {
		path := filepath.Join("files", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what its generator makes (%v); run the test with -update", name, err)
		}
	}
}

func TestFictitiousPatientsAreLabelled(t *testing.T) {
	var files int
	err := fs.WalkDir(Files(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := fs.ReadFile(Files(), path)
		if err != nil {
			return err
		}
		switch {
		case strings.HasSuffix(path, ".json"):
			var resource struct {
				ResourceType string
				Meta         struct{ Security []struct{ Code string } }
			}
			if err := json.Unmarshal(b, &resource); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if resource.ResourceType == "" || len(resource.Meta.Security) == 0 || resource.Meta.Security[0].Code != "HTEST" {
				t.Errorf("%s is not a FHIR resource labelled HTEST", path)
			}
		case strings.HasSuffix(path, ".xml"):
			for d := xml.NewDecoder(bytes.NewReader(b)); ; {
				if _, err := d.Token(); err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
			}
		}
		if !bytes.Contains(b, []byte("p-7f3a")) {
			t.Errorf("%s is not our patient's", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 12 {
		t.Errorf("%d records, want at least 12", files)
	}
}

// slice returns a CT slice of a sphere, 32 by 32 pixels, as a DICOM file: explicit
// VR, little endian (PS3.10, section 7.1).
func slice() []byte {
	const size, root = 32, "2.25.7300000000000000000000000000000000"
	pixels := make([]byte, 0, 2*size*size)
	for y := range size {
		for x := range size {
			value, dx, dy := int16(-1000), 2*x-size+1, 2*y-size+1 // air
			if dx*dx+dy*dy < size*size*2/3 {
				value = 40 // soft tissue
			}
			pixels = binary.LittleEndian.AppendUint16(pixels, uint16(value))
		}
	}
	meta := element(2, 1, "OB", []byte{0, 1})
	meta = append(meta, element(2, 2, "UI", "1.2.840.10008.5.1.4.1.1.2")...) // CT Image Storage
	meta = append(meta, element(2, 3, "UI", root+"1")...)
	meta = append(meta, element(2, 0x10, "UI", "1.2.840.10008.1.2.1")...)
	meta = append(meta, element(2, 0x12, "UI", root+"9")...)

	var b bytes.Buffer
	b.Write(make([]byte, 128))
	b.WriteString("DICM")
	b.Write(element(2, 0, "UL", binary.LittleEndian.AppendUint32(nil, uint32(len(meta)))))
	b.Write(meta)
	for _, e := range [][]byte{
		element(0x08, 0x05, "CS", "ISO_IR 192"),
		element(0x08, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.2"),
		element(0x08, 0x18, "UI", root+"1"),
		element(0x08, 0x20, "DA", "20260506"),
		element(0x08, 0x60, "CS", "CT"),
		element(0x08, 0x1030, "LO", "CT chest, made-up sphere"),
		element(0x10, 0x10, "PN", "Li^Xiuying=李^秀英"),
		element(0x10, 0x20, "LO", "p-7f3a@north"),
		element(0x20, 0x0d, "UI", root+"2"),
		element(0x20, 0x0e, "UI", root+"3"),
		element(0x28, 0x02, "US", u16(1)),
		element(0x28, 0x04, "CS", "MONOCHROME2"),
		element(0x28, 0x10, "US", u16(size)),
		element(0x28, 0x11, "US", u16(size)),
		element(0x28, 0x100, "US", u16(16)),
		element(0x28, 0x101, "US", u16(16)),
		element(0x28, 0x102, "US", u16(15)),
		element(0x28, 0x103, "US", u16(1)),
		element(0x7fe0, 0x10, "OW", pixels),
	} {
		b.Write(e)
	}
	return b.Bytes()
}

func u16(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }

// element encodes one data element.
func element[T string | []byte](group, number uint16, vr string, value T) []byte {
	v := []byte(value)
	if len(v)%2 == 1 {
		if vr == "UI" {
			v = append(v, 0)
		} else {
			v = append(v, ' ')
		}
	}
	b := append(append(u16(group), u16(number)...), vr...)
	if vr == "OB" || vr == "OW" {
		b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(len(v)))
	} else {
		b = append(b, u16(uint16(len(v)))...)
	}
	return append(b, v...)
}

// letter returns a PDF of one page (ISO 32000-1, section 7.5).
func letter() []byte {
	text := []string{
		"Eastern Hospital, department of medicine", "Discharge letter", "",
		"Patient: p-7f3a@north (made up)", "Stay: 2026-05-18 to 2026-05-25",
		"Diagnosis: community-acquired pneumonia, recovered; type 2 diabetes.",
		"Medication: metformin 500 mg twice a day.", "Follow-up in one month.",
	}
	content := "BT /F1 12 Tf 16 TL 72 770 Td\n"
	for _, line := range text {
		content += "(" + strings.NewReplacer("(", `\(`, ")", `\)`).Replace(line) + ") Tj T*\n"
	}
	content += "ET\n"
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", len(content), content),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	var offsets []int
	for i, o := range objects {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return b.Bytes()
}

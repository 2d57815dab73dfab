// A guess for the time zone, which stays the person's to change; without script the field is simply empty.
const field = document.getElementById("timezone");
if (field && !field.value) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
}

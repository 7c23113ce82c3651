"""The machine and the installation, as a person wants to see them: the doctor's report, memory, temperatures, disk use, logs, benchmarks.

Only looks: what it finds is plain data. Knows nothing about pages or the command line. Start reading at `modules.machine.doctor.report`.
"""
